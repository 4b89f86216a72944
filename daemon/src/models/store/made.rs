//! Packages made of installed ones by a computation.

use airunner_core::ModelName;
use airunner_core::model::Source;
use airunner_runtimes::package::inspect;

use super::copy::read;
use super::error::StoreError;
use super::import::{check_new_name, warn};
use super::manifest::{Manifest, ManifestFile};
use super::staging::Staging;
use super::{Installed, Store, sources};

impl Store {
    /// Whether a model may be called so.
    pub(crate) fn check_name(&self, name: &ModelName, installed: &[ModelName]) -> Result<(), StoreError> {
        check_new_name(name, installed)
    }

    /// Where the packages are.
    pub(crate) fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// Checks a package whose files are all there and flushed, and makes it a model that keeps
    /// the licence and the defaults of the one it was made of.
    pub(crate) fn publish_made(
        &self,
        staging: Staging,
        from: &Installed,
        name: &ModelName,
        source: Source,
        installed: &[ModelName],
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Installed, StoreError> {
        check_new_name(name, installed)?;
        let summary = inspect(staging.directory()).map_err(StoreError::Package)?;
        warn(name, &summary.warnings);
        let files = sources::find(staging.directory())?
            .iter()
            .map(|file| {
                let goes_on = |_: &[u8]| {
                    if is_cancelled() {
                        Err(StoreError::Cancelled)
                    } else {
                        Ok(())
                    }
                };
                Ok(ManifestFile {
                    path: file.path.clone(),
                    size: file.size,
                    sha256: read(file, &mut { goes_on })?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let mut manifest = Manifest::new(name, summary.kind, summary.format, &source, files);
        // Those that ship with the program have no manifest.
        manifest.license = Manifest::read(&self.place(&from.name))
            .ok()
            .and_then(|of| of.license);
        manifest.defaults = from.defaults.clone().into();
        self.publish(staging, name, &manifest, is_cancelled)
    }
}
