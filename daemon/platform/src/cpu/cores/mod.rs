//! Which cores there are where they are not all alike.

use airunner_core::cores::fast_cores;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
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

/// Cores worth computing with, of those this process may run on; `None` where all are alike or the
/// system does not tell.
pub(super) fn fast() -> Option<usize> {
    fast_cores(&os::threads())
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_is_no_smaller_than_what_is_found() {
        let found = super::fast();
        let all = crate::cpu::usable_threads();
        assert!(found.is_none_or(|cores| cores >= 1));
        assert!(crate::cpu::usable_cores() <= all, "{found:?} of {all}");
    }
}
