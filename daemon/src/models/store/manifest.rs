//! The one file the store adds to a package.

use std::fs;
use std::path::{Path, PathBuf};

use airunner_core::ModelName;
use airunner_core::chat::Message;
use airunner_core::defaults::Defaults;
use airunner_core::generate::Sampling;
use airunner_core::model::{ModelKind, PackageFile, PackageFormat, Source};
use airunner_runtimes::package::MANIFEST;
use serde::{Deserialize, Serialize};

use super::error::{StoreError, at};
use super::{Installed, Output};

/// As it is written. Unknown fields of a later version are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) source: String,
    /// RFC 3339, UTC.
    pub(super) imported_at: String,
    pub(super) format: String,
    /// Where the files are if they are not beside the manifest: absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) directory: Option<PathBuf>,
    /// What the names of the files begin with in the hub's repository; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hub_directory: Option<String>,
    /// What is put into requests that do not say it themselves.
    #[serde(default, skip_serializing_if = "ManifestDefaults::is_empty")]
    pub(super) defaults: ManifestDefaults,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) license: Option<String>,
    pub(super) files: Vec<ManifestFile>,
}

/// [`Defaults`] as they are written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ManifestDefaults {
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repetition_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_length: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<ManifestMessage>,
}

/// A turn that conversations begin with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ManifestMessage {
    role: String,
    content: String,
}

impl ManifestDefaults {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Defaults> for ManifestDefaults {
    fn from(defaults: Defaults) -> Self {
        let sampling = defaults.sampling;
        Self {
            system: defaults.system,
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            min_p: sampling.min_p,
            repetition_penalty: sampling.repetition_penalty,
            frequency_penalty: sampling.frequency_penalty,
            presence_penalty: sampling.presence_penalty,
            seed: sampling.seed,
            stop: defaults.stop,
            max_tokens: defaults.max_tokens,
            context_length: defaults.context_length,
            messages: defaults
                .messages
                .into_iter()
                .map(|Message { role, content, .. }| ManifestMessage { role, content })
                .collect(),
        }
    }
}

impl From<ManifestDefaults> for Defaults {
    fn from(written: ManifestDefaults) -> Self {
        Self {
            system: written.system,
            sampling: Sampling {
                temperature: written.temperature,
                top_k: written.top_k,
                top_p: written.top_p,
                min_p: written.min_p,
                repetition_penalty: written.repetition_penalty,
                frequency_penalty: written.frequency_penalty,
                presence_penalty: written.presence_penalty,
                seed: written.seed,
                ..Sampling::default()
            },
            stop: written.stop,
            max_tokens: written.max_tokens,
            context_length: written.context_length,
            messages: written
                .messages
                .into_iter()
                .map(|message| Message::new(message.role, message.content))
                .collect(),
        }
    }
}

/// One file as it was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestFile {
    /// Relative to the package, `/`-separated.
    pub(crate) path: String,
    pub(crate) size: u64,
    /// Lower-case hex.
    pub(crate) sha256: String,
}

impl Manifest {
    pub(super) fn new(
        name: &ModelName,
        kind: ModelKind,
        format: PackageFormat,
        source: &Source,
        files: Vec<ManifestFile>,
    ) -> Self {
        Self {
            name: name.to_string(),
            kind: kind.to_string(),
            source: source.to_string(),
            imported_at: jiff::Timestamp::now().to_string(),
            format: format.as_str().to_owned(),
            directory: None,
            hub_directory: None,
            defaults: ManifestDefaults::default(),
            license: None,
            files,
        }
    }

    pub(super) fn read(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(MANIFEST);
        let text = fs::read(&path).map_err(at("read", &path))?;
        serde_json::from_slice(&text).map_err(|source| StoreError::Manifest { path, source })
    }

    pub(super) fn write(&self, output: &mut dyn Output, path: &Path) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(self).map_err(|source| StoreError::Manifest {
            path: path.to_path_buf(),
            source,
        })?;
        output
            .write_all(&text)
            .and_then(|()| output.persist())
            .map_err(at("write", path))
    }

    /// Where the files are, if the manifest lies in `directory`.
    pub(super) fn package<'d>(&'d self, directory: &'d Path) -> &'d Path {
        self.directory.as_deref().unwrap_or(directory)
    }

    /// What the manifest says, if it fits the directory it lies in.
    pub(super) fn installed(&self, directory: &Path, name: ModelName) -> Result<Installed, StoreError> {
        let foreign = |problem: String| StoreError::Foreign {
            path: directory.join(MANIFEST),
            problem,
        };
        if self.name != name.as_str() {
            return Err(foreign(format!("it is of a model called {}", self.name)));
        }
        if self.kind != ModelKind::Llm.as_str() {
            return Err(foreign(format!("its kind is {}", self.kind)));
        }
        let source = match Source::parse(&self.source) {
            Some(source @ (Source::Import(_) | Source::Linked(_) | Source::Hub(_))) => source,
            Some(Source::Builtin) | None => return Err(foreign(format!("its source is {}", self.source))),
        };
        let size_bytes = self.files.iter().map(|file| file.size).sum();
        Ok(Installed {
            name,
            kind: ModelKind::Llm,
            size_bytes,
            source,
            directory: self.package(directory).to_path_buf(),
            defaults: self.defaults.clone().into(),
        })
    }
}

impl From<ManifestFile> for PackageFile {
    fn from(file: ManifestFile) -> Self {
        Self {
            path: file.path,
            size_bytes: file.size,
            sha256: Some(file.sha256),
        }
    }
}
