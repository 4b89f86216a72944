//! The token of the local user: a file that only this user can read.

use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use airunner_core::access::Secret;
use airunner_core::{ErrorKind, Fault, chain};
use airunner_platform::files;

use super::secret::{LOCAL, draw, is_well_formed};

/// More is no token.
const LONGEST: u64 = 256;

#[derive(Debug, thiserror::Error)]
#[error("cannot write the token of the HTTP API to {}", path.display())]
struct CannotWrite {
    path: PathBuf,
    source: io::Error,
}

impl From<CannotWrite> for Fault {
    fn from(error: CannotWrite) -> Self {
        let kind = if error.source.kind() == io::ErrorKind::StorageFull {
            ErrorKind::DiskFull
        } else {
            ErrorKind::Internal
        };
        Self::new(kind, chain(&error))
    }
}

/// The token, and why it was made anew if it was.
pub(super) struct Token {
    pub(super) secret: Secret,
    pub(super) made: Option<&'static str>,
}

/// The token of the file; if there is none, or others may have seen it, another one.
pub(super) fn open(path: &Path) -> Result<Token, Fault> {
    let why = match read(path) {
        Ok(secret) => return Ok(Token { secret, made: None }),
        Err(why) => why,
    };
    let secret = draw(LOCAL)?;
    write(path, &secret).map_err(|source| CannotWrite {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(Token {
        secret,
        made: Some(why),
    })
}

/// The error says why the file cannot be trusted.
fn read(path: &Path) -> Result<Secret, &'static str> {
    let mut file = files::open_regular(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            "there was none"
        } else {
            "it could not be opened as a regular file"
        }
    })?;
    if !files::is_private(&file).unwrap_or(false) {
        return Err("others could have read it");
    }
    let mut text = String::new();
    Read::take(&mut file, LONGEST)
        .read_to_string(&mut text)
        .map_err(|_| "it could not be read")?;
    let text = text.trim_end();
    if is_well_formed(text, LOCAL) {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err("it was not a token")
    }
}

/// A reader sees the old file or all of the new one, and nobody else ever can.
fn write(path: &Path, secret: &Secret) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let incoming = directory.join(format!(".{}.{}", super::TOKEN_FILE, std::process::id()));
    // What a killed daemon with the same number left.
    drop(fs::remove_file(&incoming));
    let mut file = files::create_private(&incoming)?;
    let written = file
        .write_all(format!("{}\n", secret.reveal()).as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&incoming, path))
        .and_then(|()| files::sync_directory(directory));
    if written.is_err() {
        // It is not there if it has become the file.
        drop(fs::remove_file(&incoming));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(path: &Path) -> Token {
        open(path).unwrap()
    }

    #[test]
    fn it_stays_the_same_until_it_cannot_be_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("http-token");
        let first = token(&path);
        assert_eq!(first.made, Some("there was none"));
        let again = token(&path);
        assert!(again.made.is_none() && again.secret == first.secret);
        for text in ["", "air_local_short\n", "\u{0}"] {
            fs::write(&path, text).unwrap();
            let other = token(&path);
            assert_eq!(other.made, Some("it was not a token"), "{text:?}");
            assert_ne!(other.secret, first.secret);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn one_that_others_could_read_is_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("http-token");
        let first = token(&path).secret;
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let second = token(&path).secret;
        assert_ne!(first, second);
        assert_eq!(mode(), 0o600);
        let elsewhere = directory.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_ne!(token(&path).secret, second);
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(
            fs::read_to_string(&elsewhere).unwrap().trim_end(),
            second.reveal()
        );
    }
}
