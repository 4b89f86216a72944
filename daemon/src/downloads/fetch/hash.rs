//! Checking what was fetched.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::downloads::digest::{Digest, hex};

const BUFFER: usize = 1 << 20;

/// Follows the beginning of a content as it grows. The bytes are read back from the file, where
/// the system still has them in memory: so parts may come in any order, and a fetch that goes on
/// after a restart is no special case.
#[derive(Clone)]
pub(super) struct Hasher {
    declared: Digest,
    sha256: Sha256,
    git: Option<sha1::Sha1>,
    at: u64,
}

impl Hasher {
    pub(super) fn new(declared: Digest, size: u64) -> Self {
        let git = matches!(declared, Digest::GitBlob(_)).then(|| {
            let mut sha1 = sha1::Sha1::new();
            sha1.update(format!("blob {size}\0"));
            sha1
        });
        Self {
            declared,
            sha256: Sha256::new(),
            git,
            at: 0,
        }
    }

    /// Bytes it has seen.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Reads on up to `end`. Blocks.
    pub(super) fn read_to(&mut self, path: &Path, end: u64) -> io::Result<()> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let mut buffer = vec![0; BUFFER];
        while self.at < end {
            let most = usize::try_from(end - self.at).unwrap_or(BUFFER).min(BUFFER);
            file.read_exact(&mut buffer[..most])?;
            self.sha256.update(&buffer[..most]);
            if let Some(git) = &mut self.git {
                git.update(&buffer[..most]);
            }
            self.at += most as u64;
        }
        Ok(())
    }

    /// As much of it as one look at a flag is worth.
    pub(super) const STEP: u64 = 8 << 20;

    /// The SHA-256, if the content is the declared one.
    pub(super) fn finish(self) -> Option<String> {
        let sha256: [u8; 32] = self.sha256.finalize().into();
        let found = match self.git {
            Some(git) => Digest::GitBlob(git.finalize().into()),
            None => Digest::Sha256(sha256),
        };
        (found == self.declared).then(|| hex(&sha256))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_both_kinds_of_digest() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hello");
        std::fs::write(&path, "hello\n").unwrap();
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        for (declared, right) in [
            (sha256, true),
            // As `git hash-object` says.
            ("ce013625030ba8dba906f756967f9e9ca394464a", true),
            ("ce013625030ba8dba906f756967f9e9ca394464b", false),
        ] {
            let mut hasher = Hasher::new(Digest::from_hex(declared).unwrap(), 6);
            hasher.read_to(&path, 2).unwrap();
            hasher.read_to(&path, 6).unwrap();
            assert_eq!(hasher.finish(), right.then(|| sha256.to_owned()), "{declared}");
        }
        let mut beyond = Hasher::new(Digest::from_hex(sha256).unwrap(), 7);
        assert!(beyond.read_to(&path, 7).is_err());
    }
}
