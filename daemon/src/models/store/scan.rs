//! Finding out what is installed.

use std::fs;
use std::io;
use std::path::Path;

use airunner_core::defaults::Defaults;
use airunner_core::model::{Model, ModelDetails, ModelKind, PackageFile, Source};
use airunner_core::name::BUILTIN_PREFIX;
use airunner_core::{Fault, ModelName, error};

use super::error::{StoreError, at};
use super::manifest::Manifest;
use super::{Installed, Store, sources};

impl Store {
    /// Everything installed. A package that cannot be understood is reported in the log, left
    /// alone and left out.
    #[must_use]
    pub fn scan(&self) -> Vec<Installed> {
        let builtin = directories(&self.builtin)
            .into_iter()
            .map(|name| builtin(&self.builtin, &name));
        let imported = directories(&self.directory)
            .into_iter()
            .map(|name| imported(&self.directory, &name));
        let mut found: Vec<Installed> = Vec::new();
        for package in builtin.chain(imported) {
            match package {
                Ok(package) => found.push(package),
                Err(fault) => tracing::warn!(error = %fault, "a package is left out"),
            }
        }
        found
    }

    /// Reads a package for somebody who wants to know everything about it.
    pub fn details(&self, model: Model) -> Result<ModelDetails, Fault> {
        let (directory, manifest) = match &model.source {
            Source::Builtin => (
                self.builtin.join(&model.name.as_str()[BUILTIN_PREFIX.len()..]),
                None,
            ),
            Source::Import(_) | Source::Linked(_) | Source::Hub(_) => {
                let stored = self.place(&model.name);
                let manifest = Manifest::read(&stored)?;
                (manifest.package(&stored).to_path_buf(), Some(manifest))
            }
        };
        let summary = airunner_runtimes::package::inspect(&directory)?;
        let files: Vec<PackageFile> = match manifest {
            None => summary.files,
            Some(manifest) => manifest.files.into_iter().map(PackageFile::from).collect(),
        };
        Ok(ModelDetails {
            model,
            format: summary.format,
            architecture: summary.architecture,
            context_length: summary.context_length,
            variants: summary.variants,
            files,
            chat_template: summary.chat_template,
            directory: directory.display().to_string(),
            capabilities: summary.capabilities,
            sampling: summary.sampling,
            parameters: summary.parameters,
        })
    }
}

fn imported(store: &Path, directory_name: &str) -> Result<Installed, Fault> {
    let directory = store.join(directory_name);
    let name = ModelName::from_directory_name(directory_name)?;
    Ok(Manifest::read(&directory).and_then(|manifest| manifest.installed(&directory, name))?)
}

fn builtin(place: &Path, directory_name: &str) -> Result<Installed, Fault> {
    let name = ModelName::new(&format!("{BUILTIN_PREFIX}{directory_name}"))?;
    let directory = place.join(directory_name);
    let size_bytes = sources::find(&directory)?.iter().map(|file| file.size).sum();
    Ok(Installed {
        name,
        kind: ModelKind::Llm,
        size_bytes,
        source: Source::Builtin,
        directory,
        defaults: Defaults::default(),
    })
}

/// Names of the directories in a directory that may not exist; hidden ones are nobody's packages.
fn directories(place: &Path) -> Vec<String> {
    match read_names(place) {
        Ok(names) => names,
        Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(problem) => {
            tracing::warn!(error = %error::chain(&problem), "a directory of models is left out");
            Vec::new()
        }
    }
}

fn read_names(place: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(place).map_err(at("read", place))? {
        let entry = entry.map_err(at("read", place))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.path().is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
