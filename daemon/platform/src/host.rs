//! What this machine is called.

use sysinfo::System;

/// The name of this machine; `None` if it has none that could stand in an address.
#[must_use]
pub fn host_name() -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    System::host_name()
        .ok()
        .filter(|name| !name.is_empty() && name.chars().all(fits))
}
