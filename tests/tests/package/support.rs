//! Making and looking into packages.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use airunner_tests::binary;

/// A package, in a folder of its own.
pub(crate) struct Package {
    /// Kept while the package is looked at.
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
    /// Where `SHA256SUMS` is.
    pub(crate) output: PathBuf,
}

/// Made of the programs of this build.
pub(crate) fn package(kind: &str) -> Package {
    let folder = tempfile::Builder::new().prefix("air-package-").tempdir().unwrap();
    let output = folder.path().join("made");
    let programs = binary("airunner").parent().unwrap().to_owned();
    let mut command = Command::new(binary("xtask"));
    command.args(["package", kind, "--programs"]).arg(programs);
    let said = successful(command.arg("--output").arg(&output));
    // Scripts read the last line.
    let path = PathBuf::from(said.lines().last().unwrap());
    assert!(path.is_file(), "{said}");
    Package {
        _folder: folder,
        path,
        output,
    }
}

/// A package that is the same to the last byte when it is made again.
#[track_caller]
pub(crate) fn package_made_twice(kind: &str) -> Package {
    let (one, other) = (package(kind), package(kind));
    let same = std::fs::read(&one.path).unwrap() == std::fs::read(&other.path).unwrap();
    assert!(
        same,
        "{} differs from {}",
        one.path.display(),
        other.path.display()
    );
    one
}

/// What a command prints, if it succeeds.
#[track_caller]
pub(crate) fn successful(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        status.success(),
        "{command:?} ended with {status}:\n{stdout}{}",
        String::from_utf8_lossy(&stderr)
    );
    stdout
}

/// Whether all of these programs are installed; if not, says that the test is left out.
pub(crate) fn has_programs(names: &[&str]) -> bool {
    let missing: Vec<&&str> = names
        .iter()
        .filter(|name| Command::new(name).arg("--version").output().is_err())
        .collect();
    if !missing.is_empty() {
        eprintln!("left out: {missing:?} not installed; `cargo xtask test` as root installs them");
    }
    missing.is_empty()
}

/// Everything below a directory: mode, owner, type and path, as `find` prints them.
pub(crate) fn listing(root: &Path) -> Vec<String> {
    let said = successful(
        Command::new("find")
            .arg(".")
            .args(["-printf", "%m %y %P\\n"])
            .current_dir(root),
    );
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// What every package for Linux holds below its prefix.
pub(crate) const EVERYWHERE: [&str; 6] = [
    "755 f bin/airunner",
    "755 f bin/airunnerd",
    "644 f lib/airunner/libonnxruntime.so.1",
    "644 f share/airunner/models/builtin/helper/config.json",
    "644 f share/airunner/models/builtin/helper/onnx/model_quantized.onnx",
    "644 f share/bash-completion/completions/airunner",
];
