//! Opening and keeping files that others may tamper with.

use std::fs::File;
use std::io;
use std::path::Path;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// Opens a regular file for reading. A link in its last component, a device or a pipe is refused
/// without waiting for it.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = os::open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is not a regular file",
    ))
}

/// Makes an empty file for this user alone; an error if there is one.
pub fn create_private(path: &Path) -> io::Result<File> {
    os::create_private(path)
}

/// True if the file belongs to this user and nobody else can open it, as far as the system tells.
pub fn is_private(file: &File) -> io::Result<bool> {
    os::is_private(file)
}

/// Makes sure that the names in a directory survive a power failure, where that takes a call.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    os::sync_directory(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_this_user_s_alone_and_new() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = create_private(&path).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(create_private(&path).is_err());
        assert!(is_private(&file).unwrap());
        file.set_permissions(std::fs::Permissions::from_mode(0o640))
            .unwrap();
        assert!(!is_private(&file).unwrap());
    }

    #[test]
    fn links_directories_and_devices_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        open_regular(&file).unwrap();
        for path in [link.as_path(), directory.path(), Path::new("/dev/zero")] {
            assert!(open_regular(path).is_err(), "{}", path.display());
        }
        sync_directory(directory.path()).unwrap();
    }
}
