//! Copying or reading a file while counting and hashing its bytes.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;

use airunner_platform::files;
use sha2::{Digest as _, Sha256};

use super::error::{StoreError, at};
use super::sources::SourceFile;

/// Bytes between two looks at whether to go on.
const CHUNK: usize = 1 << 20;

/// A file being written.
pub(super) trait Output: Write {
    /// Makes sure that the bytes survive a power failure.
    fn persist(&mut self) -> io::Result<()>;
}

impl Output for File {
    fn persist(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Creates a file that must not exist.
pub(super) fn create_file(path: &Path) -> io::Result<Box<dyn Output>> {
    Ok(Box::new(File::create_new(path)?))
}

/// Copies one file, telling how many bytes went by; the SHA-256 in lower-case hex comes back.
pub(super) fn copy(
    source: &SourceFile,
    target: &Path,
    create: fn(&Path) -> io::Result<Box<dyn Output>>,
    copied: &mut dyn FnMut(usize) -> Result<(), StoreError>,
) -> Result<String, StoreError> {
    let mut output = create(target).map_err(at("create", target))?;
    let sha256 = read(source, &mut |bytes| {
        output.write_all(bytes).map_err(at("write", target))?;
        copied(bytes.len())
    })?;
    output.persist().map_err(at("write", target))?;
    Ok(sha256)
}

/// Reads one file, as long as it was found to be, and hands on its bytes; the SHA-256 in
/// lower-case hex comes back.
pub(super) fn read(
    source: &SourceFile,
    each: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<String, StoreError> {
    let changed = || StoreError::Changed {
        path: source.real.clone(),
    };
    let mut input = files::open_regular(&source.real).map_err(at("open", &source.real))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut left = source.size;
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(at("read", &source.real)(error)),
        };
        left = left.checked_sub(length as u64).ok_or_else(changed)?;
        hash.update(&buffer[..length]);
        each(&buffer[..length])?;
    }
    if left > 0 {
        return Err(changed());
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
