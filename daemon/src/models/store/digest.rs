//! What a package is, as one short text.

use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use super::error::at;
use super::manifest::Manifest;
use super::{Installed, Store, StoreError, sources};

/// What tells one package from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Of its files; see [`Store::digest`].
    pub digest: String,
    pub installed_at: SystemTime,
    /// Text of the licence, if whoever made the model gave one.
    pub license: Option<String>,
}

impl Store {
    pub fn card(&self, installed: &Installed) -> Result<Card, StoreError> {
        let own = self.place(&installed.name);
        let manifest = Manifest::read(&own).ok();
        let written = manifest
            .as_ref()
            .and_then(|manifest| manifest.imported_at.parse::<jiff::Timestamp>().ok());
        let installed_at = match written {
            Some(time) => time.into(),
            None => std::fs::metadata(&installed.directory)
                .and_then(|metadata| metadata.modified())
                .map_err(at("read", &installed.directory))?,
        };
        Ok(Card {
            digest: self.digest(installed)?,
            installed_at,
            license: manifest.and_then(|manifest| manifest.license),
        })
    }

    /// False if a file of the manifest is missing or of another size: a quick look, no proof.
    pub fn is_as_large_as_published(&self, installed: &Installed) -> bool {
        let own = self.directory.join(installed.name.directory_name());
        let Ok(manifest) = Manifest::read(&own) else {
            return true;
        };
        manifest.files.iter().all(|file| {
            let there = std::fs::metadata(installed.directory.join(&file.path));
            there.is_ok_and(|there| there.len() == file.size)
        })
    }

    /// The same for the same files, wherever they lie: SHA-256 over names and contents as the
    /// manifest knows them, in hexadecimal. Of files without a manifest, sizes and times of
    /// change count instead of contents.
    pub fn digest(&self, installed: &Installed) -> Result<String, StoreError> {
        let own = self.directory.join(installed.name.directory_name());
        let mut hash = Sha256::new();
        match Manifest::read(&own) {
            Ok(manifest) => {
                for file in manifest.files {
                    hash.update(format!("{}\0{}\n", file.path, file.sha256));
                }
            }
            Err(_) => {
                for file in sources::find(&installed.directory)? {
                    let changed = std::fs::metadata(installed.directory.join(&file.path))
                        .and_then(|metadata| metadata.modified())
                        .ok()
                        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                        .map_or(0, |time| time.as_nanos());
                    hash.update(format!("{}\0{}\0{changed}\n", file.path, file.size));
                }
            }
        }
        let bytes = hash.finalize();
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
