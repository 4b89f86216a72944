//! Where the program's own files are, seen from its executable.

use std::io;
use std::path::{Path, PathBuf};

/// What an installation holds beside its executables: `<prefix>/bin`, `<prefix>/share/airunner`,
/// `<prefix>/lib/airunner`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The executable of this process.
    pub executable: PathBuf,
    prefix: PathBuf,
}

#[cfg(target_os = "windows")]
const LIBRARY_NAMES: [&str; 1] = ["onnxruntime.dll"];
#[cfg(target_os = "macos")]
const LIBRARY_NAMES: [&str; 1] = ["libonnxruntime.dylib"];
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
const LIBRARY_NAMES: [&str; 2] = ["libonnxruntime.so.1", "libonnxruntime.so"];

/// Where systems keep shared libraries that a package manager installed.
#[cfg(target_os = "macos")]
const SYSTEM_LIBRARIES: [&str; 2] = ["/opt/homebrew/lib", "/usr/local/lib"];
#[cfg(all(unix, not(target_os = "macos")))]
const SYSTEM_LIBRARIES: [&str; 5] = [
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
];
#[cfg(windows)]
const SYSTEM_LIBRARIES: [&str; 0] = [];

impl Installation {
    /// Of the running program.
    pub fn locate() -> io::Result<Self> {
        std::env::current_exe().map(Self::of)
    }

    /// Of an executable.
    #[must_use]
    pub fn of(executable: PathBuf) -> Self {
        let directory = executable.parent().unwrap_or_else(|| Path::new("/"));
        let prefix = directory.parent().unwrap_or(directory).to_path_buf();
        Self { executable, prefix }
    }

    /// Another program of this installation, such as `airunnerd` seen from `airunner`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.executable
            .with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// The models that ship with the program.
    #[must_use]
    pub fn builtin_models(&self) -> PathBuf {
        self.inside(&["share", "airunner", "models", "builtin"])
    }

    /// The shared libraries that ship with the program.
    #[must_use]
    pub fn libraries(&self) -> PathBuf {
        self.inside(&["lib", "airunner"])
    }

    /// With the separators of this system, which not everything that is given a path can do without.
    fn inside(&self, folders: &[&str]) -> PathBuf {
        self.prefix.join(folders.iter().collect::<PathBuf>())
    }

    /// Where ONNX Runtime's library is when it ships with the program.
    #[must_use]
    pub fn shipped_onnxruntime_library(&self) -> PathBuf {
        self.libraries().join(LIBRARY_NAMES[0])
    }

    /// ONNX Runtime's library: the one that ships with the program, then the system's.
    #[must_use]
    pub fn onnxruntime_library(&self) -> Option<PathBuf> {
        let system = SYSTEM_LIBRARIES.iter().map(PathBuf::from);
        std::iter::once(self.libraries())
            .chain(system)
            .find_map(|directory| {
                LIBRARY_NAMES
                    .iter()
                    .map(|name| directory.join(name))
                    .find(|library| library.is_file())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_beside_the_executable() {
        let prefix = tempfile::tempdir().unwrap();
        let installation = Installation::of(prefix.path().join("bin").join("airunnerd"));
        std::fs::create_dir_all(installation.libraries()).unwrap();
        let library = installation.shipped_onnxruntime_library();
        std::fs::write(&library, "").unwrap();
        assert_eq!(installation.onnxruntime_library(), Some(library));
        assert!(installation.builtin_models().starts_with(prefix.path()));
        assert!(
            installation
                .program("airunner")
                .starts_with(prefix.path().join("bin"))
        );
    }
}
