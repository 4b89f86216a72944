//! How many threads one model computes with.

use std::collections::BTreeSet;
use std::num::NonZero;

/// Up to here hyper-threads count as cores: with so few, two threads of one core are still
/// worth more than one.
const FEW: usize = 4;

/// One per physical core this process may use.
pub(crate) fn default_count() -> usize {
    let usable = std::thread::available_parallelism().map_or(1, NonZero::get);
    choose(usable, physical_cores())
}

fn choose(usable: usize, physical: Option<usize>) -> usize {
    match physical {
        Some(physical) if usable > FEW => usable.min(physical.max(1)),
        Some(_) | None => usable,
    }
}

/// `None` where the system does not tell.
fn physical_cores() -> Option<usize> {
    let mut cores = BTreeSet::new();
    for entry in std::fs::read_dir("/sys/devices/system/cpu").ok()?.flatten() {
        let siblings = entry.path().join("topology/thread_siblings_list");
        cores.extend(std::fs::read_to_string(siblings));
    }
    (!cores.is_empty()).then_some(cores.len())
}

#[cfg(test)]
mod tests {
    #[test]
    fn hyper_threads_count_only_where_cores_are_few() {
        for (usable, physical, expected) in [
            (2, Some(1), 2),
            (16, Some(8), 8),
            (6, Some(8), 6),
            (12, None, 12),
            (8, Some(0), 1),
        ] {
            assert_eq!(
                super::choose(usable, physical),
                expected,
                "{usable} of {physical:?}"
            );
        }
        assert!(super::default_count() > 0);
    }
}
