//! Which cores there are.

use airunner_core::cores::cores_to_use;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(any(target_os = "macos", test))]
mod levels;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as os;
#[cfg(any(windows, test))]
mod records;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
mod other;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
use other as os;

/// Cores worth computing with, of those this process may run on; `None` where the system does not
/// tell.
pub(super) fn usable() -> Option<usize> {
    cores_to_use(&os::threads())
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_is_no_smaller_than_what_is_found() {
        let found = super::usable();
        let all = crate::cpu::usable_threads();
        assert!(found.is_none_or(|cores| cores >= 1));
        assert!(crate::cpu::usable_cores() <= all, "{found:?} of {all}");
    }
}
