//! What the hub's own tools have fetched already.

use std::path::{Path, PathBuf};

use super::Place;
use crate::downloads::digest::Digest;

/// The cache that all tools of the hub share: `models--owner--name/blobs/<etag>`, and
/// `snapshots/<commit>/` with the files under their names.
#[derive(Clone, Debug)]
pub(crate) struct HubCache {
    directory: Option<PathBuf>,
}

impl HubCache {
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory }
    }

    /// A file of that size that may be the one; what is in it has yet to be checked.
    pub(crate) fn find(&self, place: &Place, digest: &Digest, size: u64) -> Option<PathBuf> {
        let root = self.directory.as_ref()?.canonicalize().ok()?;
        let repository = root.join(place.repository.cache_directory());
        let candidates = [
            repository.join("blobs").join(digest.hex()),
            repository.join("snapshots").join(&place.commit).join(&place.path),
        ];
        candidates
            .iter()
            .find_map(|candidate| regular_file(candidate, &root, size))
    }
}

/// The file itself, links followed, if it is one of that size inside the cache.
fn regular_file(path: &Path, root: &Path, size: u64) -> Option<PathBuf> {
    let real = path.canonicalize().ok()?;
    let metadata = real.symlink_metadata().ok()?;
    (real.starts_with(root) && metadata.is_file() && metadata.len() == size).then_some(real)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::downloads::hub::Repository;

    fn place(path: &str) -> Place {
        Place {
            repository: Repository::parse("team/tiny").unwrap(),
            commit: "0123".to_owned(),
            path: path.to_owned(),
        }
    }

    #[test]
    fn finds_files_by_what_they_hold_and_by_their_name() {
        let home = tempfile::tempdir().unwrap();
        let digest = Digest::from_hex(&"ab".repeat(32)).unwrap();
        let repository = home.path().join("models--team--tiny");
        fs::create_dir_all(repository.join("blobs")).unwrap();
        fs::create_dir_all(repository.join("snapshots/0123/onnx")).unwrap();
        fs::write(repository.join("blobs").join(digest.hex()), "12345").unwrap();
        fs::write(repository.join("snapshots/0123/onnx/model.onnx"), "123").unwrap();
        let cache = HubCache::new(Some(home.path().to_path_buf()));
        assert!(
            cache
                .find(&place("x"), &digest, 5)
                .unwrap()
                .ends_with(digest.hex())
        );
        assert!(cache.find(&place("onnx/model.onnx"), &digest, 3).is_some());
        assert_eq!(cache.find(&place("onnx/model.onnx"), &digest, 4), None);
        assert_eq!(HubCache::new(None).find(&place("x"), &digest, 5), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_cache_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let digest = Digest::from_hex(&"ab".repeat(32)).unwrap();
        let root = home.path().join("hub");
        let blobs = root.join("models--team--tiny/blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(home.path().join("secret"), "12345").unwrap();
        std::os::unix::fs::symlink(home.path().join("secret"), blobs.join(digest.hex())).unwrap();
        assert_eq!(HubCache::new(Some(root)).find(&place("x"), &digest, 5), None);
    }
}
