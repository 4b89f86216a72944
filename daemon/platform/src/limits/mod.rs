//! Limits a process puts on itself before it touches anything it does not trust.

use std::io;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildLimits {
    /// Bytes of address space; `None`: as inherited.
    pub address_space: Option<u64>,
    /// Files open at once; `None`: as inherited. Never raised above the inherited hard limit.
    pub open_files: Option<u64>,
}

/// Limits this process, for good. Core dumps are switched off in any case: they would write
/// prompts and weights to disk. Does nothing where the system has no such limits.
pub fn apply(limits: &ChildLimits) -> io::Result<()> {
    os::apply(limits)
}
