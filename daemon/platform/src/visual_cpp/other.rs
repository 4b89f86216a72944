use std::path::PathBuf;

pub(super) const IS_WANTED: bool = false;

pub(super) fn find(_file: &str) -> Option<PathBuf> {
    None
}
