//! A private home for one daemon.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries::{binary, onnxruntime_library};
use crate::cli::Cli;
use crate::packages::builtin_directory;

/// A temporary `AIRUNNER_HOME`, deleted when dropped.
pub struct Home {
    directory: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("air-")
            .tempdir()
            .expect("a temporary directory can be made");
        let mut home = Self {
            directory,
            environment: Vec::new(),
        };
        home.set(
            "AIRUNNER_HOME",
            home.path().to_str().expect("temporary paths are text").to_owned(),
        );
        home.set(
            "ORT_DYLIB_PATH",
            onnxruntime_library().to_str().expect("a text path").to_owned(),
        );
        home.set(
            "AIRUNNER_MODELS_BUILTIN_DIRECTORY",
            builtin_directory().to_str().expect("text").to_owned(),
        );
        // No test speaks with the desktop of whoever runs it.
        let no_bus = format!("unix:path={}", home.path().join("no-bus").display());
        home.set("DBUS_SESSION_BUS_ADDRESS", no_bus);
        // Daemons of many tests run at once: each takes a free port.
        home.set("AIRUNNER_HTTP_LISTEN", "127.0.0.1:0");
        home
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Sets an environment variable for every program started in this home.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Takes an environment variable away, so that the settings file counts.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.environment.retain(|(other, _)| other != name);
        self
    }

    /// Writes `config.toml`.
    pub fn configure(&self, text: &str) {
        let folder = self.path().join("config");
        std::fs::create_dir_all(&folder).expect("the home is writable");
        std::fs::write(folder.join("config.toml"), text).expect("the home is writable");
    }

    /// A command that sees this home and nothing else of AI Runner.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars() {
            if name.starts_with("AIRUNNER_") || name.starts_with("XDG_") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The daemon's executable as a command.
    #[must_use]
    pub fn daemon_command(&self) -> Command {
        self.command(binary("airunnerd"))
    }

    #[must_use]
    pub fn cli(&self) -> Cli<'_> {
        Cli::new(self)
    }

    /// Everything the daemons of this home have logged.
    #[must_use]
    pub fn log(&self) -> String {
        let folder = self.path().join("state");
        let mut files: Vec<PathBuf> = walk(&folder).into_iter().filter(|path| is_log(path)).collect();
        files.sort();
        files
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .collect()
    }

    /// Files below a folder of this home, relative to it.
    #[must_use]
    pub fn files_in(&self, folder: &str) -> Vec<String> {
        let root = self.path().join(folder);
        let mut files: Vec<String> = walk(&root)
            .iter()
            .filter_map(|path| Some(path.strip_prefix(&root).ok()?.to_str()?.to_owned()))
            .collect();
        files.sort();
        files
    }
}

fn is_log(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.contains(".log"))
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .flat_map(|entry| {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
