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
