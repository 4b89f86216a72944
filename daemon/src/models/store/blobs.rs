//! Files that clients send one by one, to make models of them.
//!
//! A file appears under its SHA-256 only when it is complete and hashes to it. Models are made
//! of second names of these bytes, so a file that goes after [`KEPT`] takes nothing from them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use airunner_platform::{disk, files, private};
use sha2::{Digest as _, Sha256};

use super::copy::Output;
use super::error::{StoreError, at};
use super::{INCOMING, Store};

/// Hidden, as everything beside the packages is that is none.
const DIRECTORY: &str = ".blobs";
/// How long a file is kept that is not sent again.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Files that may be on their way at once; each has a thread.
const AT_ONCE: usize = 8;
/// Bytes written between two looks at the room that is left.
const LOOK_EVERY: u64 = 64 << 20;

/// SHA-256 of a file: 64 digits, lower-case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlobDigest(String);

impl BlobDigest {
    /// `sha256:` or, as file names have it, `sha256-` and 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256")?.strip_prefix([':', '-'])?;
        let fits = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(digits.to_ascii_lowercase()))
    }

    pub(super) fn hex(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// What is known of a file before it comes.
#[derive(Clone, Debug)]
pub struct Announced {
    pub digest: BlobDigest,
    /// Bytes, if the sender says so.
    pub length: Option<u64>,
    /// Bytes it may have.
    pub most: u64,
}

/// A file that is being written; without [`Receiving::finish`], nothing is left of it.
pub(crate) struct Receiving<'s> {
    store: &'s Store,
    announced: Announced,
    path: PathBuf,
    output: Box<dyn Output>,
    hash: Sha256,
    written: u64,
    looked: u64,
}

impl Store {
    /// Whether the file is here.
    pub fn has_blob(&self, digest: &BlobDigest) -> bool {
        self.blob(digest).is_file()
    }

    /// Begins to write a file.
    pub(crate) fn receive(&self, announced: Announced) -> Result<Receiving<'_>, StoreError> {
        if self.receiving.fetch_add(1, Ordering::AcqRel) >= AT_ONCE {
            self.receiving.fetch_sub(1, Ordering::AcqRel);
            return Err(StoreError::TooManyUploads { limit: AT_ONCE });
        }
        let begun = self.begin(announced);
        if begun.is_err() {
            self.receiving.fetch_sub(1, Ordering::AcqRel);
        }
        begun
    }

    fn begin(&self, announced: Announced) -> Result<Receiving<'_>, StoreError> {
        let directory = self.blobs();
        private::create(&directory).map_err(at("create", &directory))?;
        if let Some(length) = announced.length {
            within(length, announced.most)?;
            self.check_blob_room(length)?;
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("{INCOMING}{}-{number}", std::process::id()));
        Ok(Receiving {
            output: (self.create)(&path).map_err(at("create", &path))?,
            store: self,
            announced,
            path,
            hash: Sha256::new(),
            written: 0,
            looked: 0,
        })
    }

    /// Removes the files that were sent more than a day before; how many they were.
    pub fn sweep_blobs(&self, now: SystemTime) -> Result<usize, StoreError> {
        let directory = self.blobs();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(at("read", &directory)(error)),
        };
        let mut removed = 0;
        for entry in entries {
            let path = entry.map_err(at("read", &directory))?.path();
            let metadata = fs::symlink_metadata(&path).map_err(at("read", &path))?;
            let last = metadata.modified().map_err(at("read", &path))?;
            if now.duration_since(last).is_ok_and(|age| age > KEPT) {
                remove(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Clears what was left of files that were on their way.
    pub(super) fn clear_received(&self) -> Result<(), StoreError> {
        let Ok(entries) = fs::read_dir(self.blobs()) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(INCOMING) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    pub(super) fn blob(&self, digest: &BlobDigest) -> PathBuf {
        self.blobs().join(format!("sha256-{}", digest.0))
    }

    fn blobs(&self) -> PathBuf {
        self.directory.join(DIRECTORY)
    }

    fn check_blob_room(&self, needed: u64) -> Result<(), StoreError> {
        match disk::available_space(&self.directory) {
            Some(available) if available < needed => Err(StoreError::NoRoomForUpload { needed, available }),
            Some(_) | None => Ok(()),
        }
    }
}

impl Receiving<'_> {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.written += bytes.len() as u64;
        within(self.written, self.announced.most)?;
        if self.written - self.looked >= LOOK_EVERY {
            self.looked = self.written;
            self.store.check_blob_room(LOOK_EVERY)?;
        }
        self.hash.update(bytes);
        self.output.write_all(bytes).map_err(at("write", &self.path))
    }

    /// The file appears if it is what was announced.
    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        let hash = std::mem::take(&mut self.hash).finalize();
        let found: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        if found != self.announced.digest.0 {
            return Err(StoreError::WrongDigest {
                expected: self.announced.digest.to_string(),
                found: format!("sha256:{found}"),
            });
        }
        self.output.persist().map_err(at("write", &self.path))?;
        let target = self.store.blob(&self.announced.digest);
        fs::rename(&self.path, &target).map_err(at("publish", &target))?;
        let directory = self.store.blobs();
        files::sync_directory(&directory).map_err(at("write", &directory))
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.store.receiving.fetch_sub(1, Ordering::AcqRel);
        if let Err(error) = remove(&self.path) {
            tracing::warn!(%error, "what came of a file stays until the next start");
        }
    }
}

/// How many files are on their way.
pub(super) type Count = AtomicUsize;

fn within(length: u64, most: u64) -> Result<(), StoreError> {
    if length > most {
        return Err(StoreError::TooLong { limit: most });
    }
    Ok(())
}

/// It may be gone already.
fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(home: &Path) -> Store {
        Store::open(home.join("models"), home.join("builtin")).unwrap()
    }

    fn digest_of(bytes: &[u8]) -> BlobDigest {
        let hash = Sha256::digest(bytes);
        let digits: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
        BlobDigest::parse(&format!("sha256:{digits}")).unwrap()
    }

    fn announced(bytes: &[u8], most: u64) -> Announced {
        Announced {
            digest: digest_of(bytes),
            length: None,
            most,
        }
    }

    fn names(store: &Store) -> Vec<String> {
        let entries = fs::read_dir(store.blobs()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_digest_is_sha256_and_nothing_that_leads_elsewhere() {
        let digits = "0aB".repeat(22)[..64].to_owned();
        for text in [format!("sha256:{digits}"), format!("sha256-{digits}")] {
            let digest = BlobDigest::parse(&text).unwrap();
            assert_eq!(digest.to_string(), format!("sha256:{}", digits.to_lowercase()));
        }
        for bad in [
            "",
            "sha256:",
            "sha256:../../../etc/passwd",
            &digits,
            &format!("md5:{digits}"),
            &format!("sha256:{digits}0"),
            &format!("sha256:{}é", &digits[..62]),
        ] {
            assert_eq!(BlobDigest::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_appears_when_it_is_whole_and_what_it_says() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path());
        let digest = digest_of(b"whole");
        let mut receiving = store.receive(announced(b"whole", 5)).unwrap();
        receiving.write(b"who").unwrap();
        assert!(!store.has_blob(&digest));
        receiving.write(b"le").unwrap();
        receiving.finish().unwrap();
        assert!(store.has_blob(&digest));
        assert_eq!(fs::read(store.blob(&digest)).unwrap(), b"whole");

        let mut wrong = store.receive(announced(b"other", 5)).unwrap();
        wrong.write(b"0ther").unwrap();
        assert!(matches!(wrong.finish(), Err(StoreError::WrongDigest { .. })));
        let mut long = store.receive(announced(b"longer", 5)).unwrap();
        assert!(matches!(
            long.write(b"longer"),
            Err(StoreError::TooLong { limit: 5 })
        ));
        drop(long);
        let told = Announced {
            length: Some(6),
            ..announced(b"longer", 5)
        };
        assert!(matches!(store.receive(told), Err(StoreError::TooLong { .. })));
        drop(store.receive(announced(b"never", 5)).unwrap());
        assert_eq!(names(&store).len(), 1, "of the others nothing is left");
    }

    #[test]
    fn only_so_many_come_at_once_and_what_cannot_fit_does_not_begin() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path());
        let mut coming: Vec<_> = (0..AT_ONCE)
            .map(|_| store.receive(announced(b"x", 1)).unwrap())
            .collect();
        let refused = store.receive(announced(b"x", 1)).err().unwrap();
        assert!(matches!(refused, StoreError::TooManyUploads { .. }));
        coming.pop();
        let huge = Announced {
            length: Some(u64::MAX),
            ..announced(b"x", u64::MAX)
        };
        let refused = store.receive(huge).err().unwrap();
        assert!(matches!(refused, StoreError::NoRoomForUpload { .. }));
        assert!(store.receive(announced(b"x", 1)).is_ok());
    }

    #[test]
    fn files_go_after_a_day_and_what_was_cut_off_at_the_next_start() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path());
        let day = Duration::from_secs(24 * 3600);
        let long_ago = SystemTime::now() - day - Duration::from_secs(60);
        for (bytes, sent) in [(b"kept", SystemTime::now()), (b"gone", long_ago)] {
            let mut receiving = store.receive(announced(bytes, 4)).unwrap();
            receiving.write(bytes).unwrap();
            receiving.finish().unwrap();
            let file = fs::File::options()
                .append(true)
                .open(store.blob(&digest_of(bytes)))
                .unwrap();
            file.set_modified(sent).unwrap();
        }
        assert_eq!(store.sweep_blobs(SystemTime::now()).unwrap(), 1);
        assert!(store.has_blob(&digest_of(b"kept")) && !store.has_blob(&digest_of(b"gone")));
        fs::write(store.blobs().join(format!("{INCOMING}1-1")), "half").unwrap();
        let again = Store::open(home.path().join("models"), home.path().join("builtin")).unwrap();
        assert_eq!(names(&again).len(), 1);
        assert!(again.scan().is_empty(), "none of it is a model");
    }
}
