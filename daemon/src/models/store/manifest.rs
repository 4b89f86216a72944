//! The one file the store adds to a package.

use std::fs;
use std::path::Path;

use airunner_core::ModelName;
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
    pub(super) files: Vec<ManifestFile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ManifestFile {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) sha256: String,
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
        let source = match self.source.split_once(':') {
            Some(("import", directory)) => Source::Import(directory.to_owned()),
            Some(_) | None => return Err(foreign(format!("its source is {}", self.source))),
        };
        let size_bytes = self.files.iter().map(|file| file.size).sum();
        Ok(Installed {
            name,
            kind: ModelKind::Llm,
            size_bytes,
            source,
            directory: directory.to_path_buf(),
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
