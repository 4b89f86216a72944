//! Models for tests: scripted ones, and the committed reference packages.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::binaries::repository;

/// A package for the scripted runtime.
pub struct FakeModel {
    pub name: String,
    script: Value,
}

impl FakeModel {
    /// A model that loads at once and echoes the words of its prompt.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            script: json!({}),
        }
    }

    /// Sets a field of `fake-model.json`.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.script[field] = value.into();
        self
    }

    /// Streams these texts.
    #[must_use]
    pub fn speaks(self, tokens: &[&str]) -> Self {
        self.with("tokens", tokens.to_vec())
    }

    /// Waits before each token.
    #[must_use]
    pub fn token_every_ms(self, milliseconds: u64) -> Self {
        self.with("token_interval_ms", milliseconds)
    }

    /// Takes its time to load.
    #[must_use]
    pub fn loads_in_ms(self, milliseconds: u64) -> Self {
        self.with("load_ms_steps", vec![milliseconds / 2, milliseconds / 2])
    }

    /// Loads once the gate is open.
    #[must_use]
    pub fn loads_behind(self, gate: &Gate) -> Self {
        self.with("waits_for", gate.at("load"))
    }

    /// So many tokens into an answer, goes on once the gate is open.
    #[must_use]
    pub fn waits_after(self, tokens: usize, gate: &Gate) -> Self {
        self.with("waits_for", gate.at(&format!("generate:{tokens}")))
    }

    /// So many tokens into an answer, says nothing any more until it is cancelled.
    #[must_use]
    pub fn hangs_after(self, tokens: usize) -> Self {
        self.with("hang_on", format!("generate:{tokens}"))
    }

    #[must_use]
    pub fn crashes_on_load(self) -> Self {
        self.with("crash_on", "load")
    }

    /// Dies so many tokens into an answer.
    #[must_use]
    pub fn crashes_after(self, tokens: usize) -> Self {
        self.with("crash_on", format!("generate:{tokens}"))
    }

    #[must_use]
    pub fn computes_nan(self) -> Self {
        self.with("nan", true)
    }

    /// Writes the package into a folder of its own and returns it.
    #[must_use]
    pub fn write_below(&self, folder: &Path) -> PathBuf {
        let package = folder.join("packages").join(self.name.replace('/', "+"));
        std::fs::create_dir_all(&package).expect("the home is writable");
        std::fs::write(package.join("fake-model.json"), self.script.to_string()).expect("writable");
        package
    }
}

/// Holds a scripted model up for as long as a test wants, so that nothing has to happen within
/// some time. Closed at first.
pub struct Gate {
    folder: tempfile::TempDir,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("gate-").tempdir();
        Self {
            folder: folder.expect("a temporary directory can be made"),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("open")
    }

    fn at(&self, place: &str) -> Value {
        json!({"place": place, "file": self.file()})
    }

    pub fn open(&self) {
        std::fs::write(self.file(), "").expect("the gate opens");
    }

    pub fn close(&self) {
        std::fs::remove_file(self.file()).expect("the gate was open");
    }
}

/// Committed test data.
#[must_use]
pub fn testdata() -> PathBuf {
    repository().join("tests/testdata")
}

/// The built-in models as they are in the repository, in the layout of an installation.
#[must_use]
pub fn builtin_directory() -> PathBuf {
    let profile = crate::binary("airunnerd");
    profile
        .parent()
        .expect("in a folder")
        .join("../share/airunner/models/builtin")
}

/// Names and folders of the reference packages that have golden outputs.
#[must_use]
pub fn parity_packages() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(testdata().join("parity")).expect("reference packages are committed");
    let mut packages: Vec<(String, PathBuf)> = entries
        .flatten()
        .filter(|entry| entry.path().join("golden.json").is_file())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    packages.sort();
    packages
}
