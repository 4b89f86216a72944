//! What processes cost.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as os;

/// Resident memory of a process, bytes; `None` if it is gone or hidden.
#[must_use]
pub fn resident_memory(pid: u32) -> Option<u64> {
    os::resident_memory(pid)
}

/// Resident memory of this process, bytes; 0 if the system does not say.
#[must_use]
pub fn own_resident_memory() -> u64 {
    resident_memory(std::process::id()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_no_process_uses_none() {
        assert!(own_resident_memory() > 100_000);
        assert_eq!(resident_memory(u32::MAX - 1), None);
    }
}
