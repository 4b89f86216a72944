//! Where the programs under test are.

#![expect(
    clippy::disallowed_methods,
    reason = "the harness is told by the environment where things are"
)]

use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the repository")
        .to_owned()
}

/// The folder of the profile this test was built in, such as `target/debug`.
pub(crate) fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a test has an executable");
    let deps = test.parent().expect("an executable is in a folder");
    deps.parent().expect("target/<profile>/deps").to_owned()
}

/// A program of the workspace, built with the tests.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let path = profile_directory().join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "{} is not built: run the tests with `cargo xtask test`",
        path.display()
    );
    path
}

/// ONNX Runtime, as set up by `cargo xtask setup` or named by `ORT_DYLIB_PATH`.
#[must_use]
pub fn onnxruntime_library() -> PathBuf {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH") {
        return path.into();
    }
    let folder = profile_directory().join("../lib/airunner");
    std::fs::read_dir(&folder)
        .ok()
        .and_then(|entries| entries.flatten().map(|entry| entry.path()).next())
        .unwrap_or_else(|| panic!("no ONNX Runtime in {}: run `cargo xtask setup`", folder.display()))
}

/// The folder of programs that were built for Windows, where somebody has built them and says so.
pub(crate) fn windows_programs() -> Option<PathBuf> {
    std::env::var_os("AIRUNNER_WINDOWS_PROGRAMS")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
}

/// Directories of `PATH`.
pub(crate) fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default()
}
