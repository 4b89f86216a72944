use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::NotPrivate;

pub(super) fn create(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) fn check(path: &Path) -> Result<(), NotPrivate> {
    let metadata = fs::symlink_metadata(path).map_err(NotPrivate::Unreadable)?;
    if !metadata.is_dir() {
        return Err(NotPrivate::NotADirectory);
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(NotPrivate::OtherOwner(metadata.uid()));
    }
    if metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(NotPrivate::Open)
}

pub(super) fn is_mine(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw())
}
