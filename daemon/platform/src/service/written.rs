//! Files that carry a mark by which a change made by hand shows.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::ServiceError;
use crate::endpoint::stable_hash;

const MARK: &str = "airunner-written: ";

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Missing,
    /// As this program wrote it.
    Untouched,
    Edited,
}

/// The text with its mark, for formats with `before` and `after` around a comment. The mark comes
/// after the first line, which some formats need for themselves.
pub(super) fn marked(text: &str, before: &str, after: &str) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let digest = stable_hash(text.as_bytes());
    format!("{first}\n{before}{MARK}{digest:016x}{after}\n{rest}")
}

/// Whether a text is as it was marked.
fn is_untouched(text: &str) -> bool {
    let Some((first, rest)) = text.split_once('\n') else {
        return false;
    };
    let Some((mark, rest)) = rest.split_once('\n') else {
        return false;
    };
    let digest = mark.split_once(MARK).and_then(|(_, digest)| digest.get(..16));
    let expected = format!("{:016x}", stable_hash(format!("{first}\n{rest}").as_bytes()));
    digest == Some(&expected)
}

pub(super) fn look(path: &Path) -> Result<Known, ServiceError> {
    match fs::read(path) {
        Ok(bytes) => Ok(match std::str::from_utf8(&bytes) {
            Ok(text) if is_untouched(text) => Known::Untouched,
            Ok(_) | Err(_) => Known::Edited,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Known::Missing),
        Err(source) => Err(ServiceError::Read {
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// Writes a file whole or not at all. False if it was as it should be.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<bool, ServiceError> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    replace(path, bytes)
        .map(|()| true)
        .map_err(|source| ServiceError::Write {
            path: path.to_path_buf(),
            source,
        })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let beside = with_ending(path, ".airunner-new");
    let written = fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        drop(fs::remove_file(&beside));
    })
}

/// Removes a file; one that was changed by hand is put aside instead. Returns what was removed.
pub(super) fn remove(path: &Path) -> Result<Option<PathBuf>, ServiceError> {
    let removed = match look(path)? {
        Known::Missing => return Ok(None),
        Known::Untouched => fs::remove_file(path),
        Known::Edited => put_aside(path).map(drop),
    };
    match removed {
        Ok(()) => Ok(Some(path.to_path_buf())),
        Err(source) => Err(ServiceError::Remove {
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// Moves a file to a name that no service manager reads.
pub(super) fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = with_ending(path, ".old");
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_by_hand_shows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/unit");
        assert_eq!(look(&path).unwrap(), Known::Missing);
        let text = marked("[Unit]\nDescription=x\n", "# ", "");
        assert!(text.starts_with("[Unit]\n# airunner-written: "), "{text}");
        assert!(write(&path, text.as_bytes()).unwrap());
        assert!(!write(&path, text.as_bytes()).unwrap());
        assert_eq!(look(&path).unwrap(), Known::Untouched);
        for changed in [
            text.replace("=x", "=y"),
            text.replace("[Unit]", "[unit]"),
            text.lines().skip(1).collect(),
            String::new(),
        ] {
            fs::write(&path, &changed).unwrap();
            assert_eq!(look(&path).unwrap(), Known::Edited, "{changed:?}");
        }
    }

    #[test]
    fn what_was_changed_by_hand_is_put_aside_and_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("unit");
        assert_eq!(remove(&path).unwrap(), None);
        fs::write(&path, "mine").unwrap();
        assert_eq!(remove(&path).unwrap(), Some(path.clone()));
        assert_eq!(
            fs::read_to_string(directory.path().join("unit.old")).unwrap(),
            "mine"
        );
        fs::write(&path, marked("a\n", "# ", "")).unwrap();
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let error = write(Path::new("/proc/airunner/unit"), b"x").unwrap_err();
        assert!(error.to_string().contains("/proc/airunner/unit"), "{error}");
    }
}
