//! Models made of installed ones, whose files they share.

use std::fs;
use std::path::{Component, Path};

use airunner_core::ModelName;
use airunner_core::defaults::Defaults;
use airunner_core::model::Source;
use airunner_platform::files;
use airunner_runtimes::package::inspect;
use sha2::{Digest as _, Sha256};

use super::error::{StoreError, at};
use super::import::check_new_name;
use super::manifest::{Manifest, ManifestFile};
use super::sources::{self, SourceFile};
use super::staging::Staging;
use super::{Installed, REMOVING, Store};

/// What the new model has otherwise than the one it is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// What these leave open stays as it is.
    pub defaults: Defaults,
    /// Source of another chat template.
    pub template: Option<String>,
}

const TEMPLATE: &str = "chat_template.jinja";

impl Store {
    /// Makes a model of an installed one. Files are second names of the same bytes where the file
    /// system has such, so that removing either model leaves the other whole. With `replaces`, the
    /// model of the new name, which must not be in use, makes way in the same moment.
    pub fn derive(
        &self,
        from: &Installed,
        name: &ModelName,
        changes: Changes,
        installed: &[ModelName],
        replaces: bool,
    ) -> Result<Installed, StoreError> {
        let others: Vec<ModelName> = installed
            .iter()
            .filter(|other| !(replaces && *other == name))
            .cloned()
            .collect();
        check_new_name(name, &others)?;
        let staging = self.stage()?;
        let mut manifest = self.share(from, name, &staging, changes.template.is_some())?;
        if let Some(template) = &changes.template {
            manifest.files.retain(|file| file.path != TEMPLATE);
            manifest.files.push(self.write(&staging, TEMPLATE, template)?);
            manifest.files.sort_by(|one, other| one.path.cmp(&other.path));
        }
        manifest.defaults = changes.defaults.or(&from.defaults).into();
        let package = manifest.package(staging.directory()).to_path_buf();
        inspect(&package).map_err(StoreError::Package)?;
        let doomed = replaces.then(|| self.hide(name)).transpose()?.flatten();
        let published = self.publish(staging, name, &manifest, &|| false);
        match (&published, doomed) {
            (_, None) => {}
            (Ok(_), Some(doomed)) => fs::remove_dir_all(&doomed).map_err(at("remove", &doomed))?,
            (Err(_), Some(doomed)) => {
                let place = self.place(name);
                fs::rename(&doomed, &place).map_err(at("put back", &place))?;
            }
        }
        published
    }

    /// Puts the files of a model into the new package, or tells where they are.
    fn share(
        &self,
        from: &Installed,
        name: &ModelName,
        staging: &Staging,
        changes_files: bool,
    ) -> Result<Manifest, StoreError> {
        if from.source == Source::Builtin {
            return self.copy_builtin(from, name, staging);
        }
        let mut manifest = Manifest::read(&self.place(&from.name))?;
        manifest.name = name.to_string();
        manifest.imported_at = jiff::Timestamp::now().to_string();
        if manifest.directory.is_some() && !changes_files {
            return Ok(manifest);
        }
        for file in &manifest.files {
            let inside = Path::new(&file.path);
            let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
            let real = from.directory.join(inside);
            if !inside.components().all(is_plain) {
                return Err(StoreError::BadName { path: real });
            }
            if !(changes_files && file.path == TEMPLATE) {
                let real = real.canonicalize().map_err(at("follow", &real))?;
                staging.place(&file.path, &real)?;
            }
        }
        manifest.directory = None;
        Ok(manifest)
    }

    /// What ships with the program is written over by its updates, so its bytes are copied.
    fn copy_builtin(
        &self,
        from: &Installed,
        name: &ModelName,
        staging: &Staging,
    ) -> Result<Manifest, StoreError> {
        let summary = inspect(&from.directory).map_err(StoreError::Package)?;
        let found: Vec<SourceFile> = sources::find(&from.directory)?;
        let files = self.copy_all(&found, staging.directory(), &Unwatched)?;
        let source = Source::Import(from.name.to_string());
        Ok(Manifest::new(name, summary.kind, summary.format, &source, files))
    }

    fn write(&self, staging: &Staging, path: &str, text: &str) -> Result<ManifestFile, StoreError> {
        let target = staging.directory().join(path);
        if target.exists() {
            // A copy of the package's own; never a second name of somebody else's bytes.
            fs::remove_file(&target).map_err(at("remove", &target))?;
        }
        let mut output = (self.create)(&target).map_err(at("create", &target))?;
        output
            .write_all(text.as_bytes())
            .and_then(|()| output.persist())
            .map_err(at("write", &target))?;
        let hash = Sha256::digest(text.as_bytes());
        Ok(ManifestFile {
            path: path.to_owned(),
            size: text.len() as u64,
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// Takes a package out of sight; `None` if there is none.
    fn hide(&self, name: &ModelName) -> Result<Option<std::path::PathBuf>, StoreError> {
        let place = self.place(name);
        if !place.exists() {
            return Ok(None);
        }
        let doomed = self.hidden(REMOVING);
        fs::rename(&place, &doomed).map_err(at("remove", &place))?;
        files::sync_directory(&self.directory).map_err(at("write", &self.directory))?;
        Ok(Some(doomed))
    }
}

/// Nobody waits for the progress of so small a copy.
struct Unwatched;

impl super::Observer for Unwatched {
    fn progress(&self, _progress: airunner_core::model::ImportProgress) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}
