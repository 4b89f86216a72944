//! How many threads one model computes with.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Up to here hyper-threads count as cores: with so few, two threads of one core are still
/// worth more than one.
const FEW: usize = 4;

/// What a model may use of its threads at the moment. Whoever computes looks anew for every piece
/// of work, so a change holds from the next operator on; what is computed does not depend on it.
#[derive(Debug)]
pub(crate) struct Share {
    all: usize,
    is_fixed: bool,
    now: AtomicUsize,
}

impl Share {
    /// Of a model whose operators are ours.
    pub(crate) fn of(all: usize) -> Self {
        let all = all.max(1);
        Self {
            all,
            is_fixed: false,
            now: AtomicUsize::new(all),
        }
    }

    /// Of one that ONNX Runtime computes, whose number of threads is that of its session.
    pub(crate) fn fixed(all: usize) -> Self {
        Self {
            is_fixed: true,
            ..Self::of(all)
        }
    }

    /// Threads there are.
    pub(crate) fn all(&self) -> usize {
        self.all
    }

    /// Threads to use.
    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Uses at most so many from here on; how many those are.
    pub(crate) fn limit(&self, most: usize) -> usize {
        if self.is_fixed {
            return self.all;
        }
        let threads = most.clamp(1, self.all);
        self.now.store(threads, Ordering::Relaxed);
        threads
    }
}

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
    use super::*;

    #[test]
    fn hyper_threads_count_only_where_cores_are_few() {
        for (usable, physical, expected) in [
            (2, Some(1), 2),
            (16, Some(8), 8),
            (6, Some(8), 6),
            (12, None, 12),
            (8, Some(0), 1),
        ] {
            assert_eq!(choose(usable, physical), expected, "{usable} of {physical:?}");
        }
        assert!(default_count() > 0);
    }

    #[test]
    fn a_share_is_never_nothing_and_never_more_than_there_is() {
        let share = Share::of(4);
        for (most, threads) in [(2, 2), (9, 4), (0, 1), (4, 4)] {
            assert_eq!((share.limit(most), share.now()), (threads, threads), "{most}");
        }
        assert_eq!((Share::of(0).all(), Share::of(0).now()), (1, 1));
    }

    #[test]
    fn what_onnx_runtime_computes_keeps_its_threads() {
        let share = Share::fixed(4);
        assert_eq!((share.limit(1), share.now(), share.all()), (4, 4, 4));
    }
}
