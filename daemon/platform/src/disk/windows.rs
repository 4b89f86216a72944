use std::path::Path;

/// Not asked here: a full disk shows when it is written to.
pub(super) const fn available_space(_directory: &Path) -> Option<u64> {
    None
}

pub(super) const fn occupied_space(_file: &Path) -> u64 {
    0
}
