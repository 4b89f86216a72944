//! The directory and its parts: who may change what when, and how files get in and out of it.
//!
//! Whoever adds or deletes holds the lock of the directory, so that several processes keep to one
//! limit; reading needs none, since a file has its name only when it is complete.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::choice::{Held, superfluous};
use super::file::{self, HEADER_BYTES};
use crate::llm::kv::Key;

const LOCK: &str = "lock";
/// Says whose part it is.
const ENTRY: &str = "entry.json";
const BLOCK: &str = "kv";
/// How files that are not finished begin.
const UNFINISHED: &str = ".incoming-";
/// Bytes of the digest that a part's directory is called by: the files hold all of it.
const NAME_BYTES: usize = 16;

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    model: String,
}

/// The blocks of one model in one state.
#[derive(Clone, Debug)]
pub(super) struct Part {
    directory: PathBuf,
    path: PathBuf,
    identity: [u8; 32],
}

impl Part {
    pub(super) fn open(directory: &Path, model: &str, identity: [u8; 32]) -> io::Result<Self> {
        check(directory)?;
        let _lock = lock(directory)?;
        let path = directory.join(hexadecimal(&identity[..NAME_BYTES]));
        match private_directory(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let entry = Entry {
            model: model.to_owned(),
        };
        let text = serde_json::to_vec(&entry).map_err(io::Error::other)?;
        let part = Self {
            directory: directory.to_owned(),
            path,
            identity,
        };
        part.publish(&part.path.join(ENTRY), &text, SystemTime::now())?;
        Ok(part)
    }

    fn file(&self, key: &Key) -> PathBuf {
        let name = format!("{}.{BLOCK}", hexadecimal(key.bytes()));
        self.path.join(name)
    }

    pub(super) fn header(&self, key: &Key, block_bytes: usize) -> Vec<u8> {
        file::header(&self.identity, key, block_bytes)
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.file(key).is_file()
    }

    /// Reads a file, header and block; false if it is not there. One that is damaged goes.
    pub(super) fn read(&self, key: &Key, block_bytes: usize, bytes: &mut Vec<u8>) -> bool {
        bytes.clear();
        let path = self.file(key);
        let Ok(opened) = File::open(&path) else {
            return false;
        };
        let most = (HEADER_BYTES + block_bytes) as u64 + 1;
        let read = opened.take(most).read_to_end(bytes);
        if read.is_ok() && file::is_whole(bytes, &self.identity, key, block_bytes) {
            return true;
        }
        tracing::warn!("a block of keys and values on the disk is damaged: it is deleted and computed again");
        drop(fs::remove_file(path));
        false
    }

    /// The lock of the directory, for as long as something is added.
    pub(super) fn lock(&self) -> io::Result<Lock> {
        lock(&self.directory)
    }

    /// Deletes what has not been used for longest, until all parts together are so much at most
    /// with what is to be added. Which of those there is no room for: they are older than all else.
    pub(super) fn make_room(&self, _lock: &Lock, added: &[Held], limit: u64) -> HashSet<usize> {
        let files = scan(&self.directory);
        let mut all: Vec<Held> = files.iter().map(|file| file.held).collect();
        all.extend_from_slice(added);
        let mut refused = HashSet::new();
        for goes in superfluous(&all, limit) {
            match files.get(goes) {
                Some(file) => delete(&file.path),
                None => drop(refused.insert(goes - files.len())),
            }
        }
        refused
    }

    /// Adds a block, whose bytes are sealed here.
    pub(super) fn write(
        &self,
        _lock: &Lock,
        key: &Key,
        mut bytes: Vec<u8>,
        used: SystemTime,
    ) -> io::Result<()> {
        file::seal(&mut bytes);
        self.publish(&self.file(key), &bytes, used)
    }

    /// A block was of use again.
    pub(super) fn touch(&self, key: &Key, used: SystemTime) {
        let opened = OpenOptions::new().append(true).open(self.file(key));
        // It may be gone by now, and is as good as not kept then.
        drop(opened.and_then(|opened| opened.set_modified(used)));
    }

    fn publish(&self, path: &Path, bytes: &[u8], used: SystemTime) -> io::Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let unfinished = self
            .path
            .join(format!("{UNFINISHED}{}-{number}", std::process::id()));
        let write = || {
            let mut created = private_file(&unfinished)?;
            created.write_all(bytes)?;
            created.set_modified(used)?;
            drop(created);
            fs::rename(&unfinished, path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&unfinished)))
    }
}

/// Held while files come or go; given back when dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing gives it back as well.
        drop(self.0.unlock());
    }
}

fn lock(directory: &Path) -> io::Result<Lock> {
    let path = directory.join(LOCK);
    let opened = match private_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().read(true).write(true).open(&path)?
        }
        opened => opened?,
    };
    opened.lock()?;
    Ok(Lock(opened))
}

/// A new file that only this user can read.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Not everybody may change what is kept here: they could give a model false memories. (The parts
/// are closed to all others anyway.)
fn check(directory: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(directory)?;
    #[cfg(unix)]
    let is_closed = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o002 == 0;
    #[cfg(not(unix))]
    let is_closed = true;
    if metadata.is_dir() && is_closed {
        Ok(())
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// A new directory that only this user can enter.
fn private_directory(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only some systems have modes"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A block in the directory.
struct Found {
    path: PathBuf,
    held: Held,
}

/// All blocks of all parts. To be called with the lock: what is unfinished has been given up, then.
fn scan(directory: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    for part in parts(directory) {
        for entry in fs::read_dir(part).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                delete(&path);
            } else if path.extension() == Some(OsStr::new(BLOCK))
                && let Ok(metadata) = entry.metadata()
            {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let bytes = metadata.len();
                let held = Held { bytes, used };
                found.push(Found { path, held });
            }
        }
    }
    found
}

fn parts(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let parts = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    parts.map(|entry| entry.path())
}

fn delete(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "a block of keys and values cannot be deleted from the disk");
    }
}

/// Deletes what models left that are not installed, and what is beyond the limit, the longest
/// unused first. Blocks while another process adds something.
///
/// # Errors
///
/// Where the directory cannot be locked or a model's part stays; a directory that is not there is
/// in order.
pub fn tidy(directory: &Path, installed: &HashSet<String>, limit: u64) -> io::Result<()> {
    let _lock = match lock(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        lock => lock?,
    };
    let mut removed = Ok(());
    for part in parts(directory) {
        let entry = fs::read(part.join(ENTRY)).ok();
        let entry = entry.and_then(|text| serde_json::from_slice::<Entry>(&text).ok());
        if entry.is_none_or(|entry| !installed.contains(&entry.model)) {
            removed = removed.and(fs::remove_dir_all(part));
        }
    }
    let files = scan(directory);
    let held: Vec<Held> = files.iter().map(|file| file.held).collect();
    for file in superfluous(&held, limit) {
        delete(&files[file].path);
    }
    removed
}

/// Of deleting a directory that others still write into.
const ATTEMPTS: usize = 100;

/// Deletes everything, and the directory itself, so that workers that write into it stop.
///
/// # Errors
///
/// Where something stays.
pub fn clear(directory: &Path) -> io::Result<()> {
    let lock = match lock(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        lock => lock,
    };
    let mut cleared = fs::remove_dir_all(directory);
    for _ in 0..ATTEMPTS {
        match &cleared {
            // Who waited for the lock has made it anew meanwhile, and finds its part gone next.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                cleared = fs::remove_dir_all(directory);
            }
            Ok(()) | Err(_) => break,
        }
    }
    drop(lock);
    match cleared {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        cleared => cleared,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
