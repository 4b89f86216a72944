//! What processes cost, and whether their programs are still those on the disk.

use airunner_core::hardware::ProcessMemory;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as os;

/// What a process holds; `None` if it is gone or hidden.
#[must_use]
pub fn memory(pid: u32) -> Option<ProcessMemory> {
    os::memory(pid)
}

/// Resident memory of a process, bytes; `None` if it is gone or hidden.
#[must_use]
pub fn resident_memory(pid: u32) -> Option<u64> {
    memory(pid).map(|memory| memory.resident_bytes)
}

/// Resident memory of this process, bytes; 0 if the system does not say.
#[must_use]
pub fn own_resident_memory() -> u64 {
    resident_memory(std::process::id()).unwrap_or(0)
}

/// True if another file has taken the place of the one a process runs, as an upgrade does it. Only
/// Linux tells; the file of a running program cannot be replaced on Windows.
#[must_use]
pub fn program_was_replaced(pid: u32) -> bool {
    os::program_was_replaced(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_no_process_uses_none() {
        assert!(own_resident_memory() > 100_000);
        assert_eq!(resident_memory(u32::MAX - 1), None);
    }

    #[test]
    fn what_is_private_is_part_of_what_is_resident() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.private_bytes > 0);
        assert!(memory.private_bytes <= memory.resident_bytes);
        assert!(memory.resident_bytes <= memory.peak_bytes);
    }
}
