//! How much of the processor this process may use, and what it can compute.

use airunner_core::hardware::Processor;
use sysinfo::{CpuRefreshKind, System};

mod cores;
mod features;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as os;

/// Longest name that is shown, characters.
const NAME_LENGTH: usize = 128;

/// Physical cores this process computes with: what affinity and control groups allow, and no more
/// than there are cores among those, because two threads of one core only wait for each other's
/// arithmetic. Of a quota that is no whole number the whole part counts: one thread more would be
/// stopped for a part of every period, and the others would wait for it.
/// Where there are efficiency cores they are left to others.
#[must_use]
pub fn usable_cores() -> usize {
    let allowed = usable_threads();
    let physical = || System::physical_core_count().unwrap_or(allowed).max(1);
    allowed.min(cores::usable().unwrap_or_else(physical))
}

/// Hardware threads this process may use.
#[must_use]
pub fn usable_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What the processor is called, how many cores it has and which kernels it can run.
#[must_use]
pub fn processor() -> Processor {
    let threads = usable_threads();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut features = features::detected();
    features.extend(os::further_features());
    features.sort_unstable();
    features.dedup();
    Processor {
        name: name(),
        architecture: std::env::consts::ARCH.to_owned(),
        physical_cores: count(System::physical_core_count().unwrap_or(threads).max(1)),
        usable_threads: count(threads),
        features: features.into_iter().map(str::to_owned).collect(),
    }
}

/// As the maker calls it; "unknown" if the system does not say.
fn name() -> String {
    let Ok(mut system) = System::new() else {
        return "unknown".to_owned();
    };
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    let brand = system
        .cpus()
        .first()
        .map(|cpu| crate::text::tidy(cpu.brand(), NAME_LENGTH));
    brand
        .filter(|brand| !brand.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_core() {
        assert!(usable_cores() >= 1);
    }

    #[test]
    fn the_processor_of_this_machine_is_described() {
        let processor = processor();
        assert!(!processor.name.is_empty());
        assert!(processor.usable_threads >= 1 && processor.physical_cores >= 1);
        assert!(processor.features.is_sorted());
    }
}
