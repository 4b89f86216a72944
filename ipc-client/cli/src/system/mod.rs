//! What the operating system says of files, memory and processes.

use std::io;
use std::path::Path;

use sysinfo::System;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// True if anybody but the owner may read, write or enter it. Changes nothing.
pub(crate) fn is_open_to_others(path: &Path) -> io::Result<bool> {
    os::is_open_to_others(path)
}

/// The machine's memory, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    pub(crate) available: u64,
}

/// `None` if the system does not say.
pub(crate) fn memory() -> Option<Memory> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let memory = Memory {
        total: system.total_memory(),
        available: system.available_memory(),
    };
    (memory.total > 0).then_some(memory)
}
