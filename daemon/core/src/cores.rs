//! How many threads compute, and how models that compute at the same time share them.

/// A hardware thread that a process may run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardwareThread {
    /// The same for all threads of one core.
    pub core: u32,
    /// Compared with the others of this machine only; the unit does not matter.
    pub speed: u32,
}

/// A core that is at least this fast, against the fastest, is worth waiting for: the fast cores of
/// a machine need not be equally fast, and efficiency cores have about half as much.
const FAST: (u64, u64) = (3, 4);
/// With fewer fast cores than this the slow ones compute too.
const FEWEST: usize = 2;

/// Cores to compute with where they are not all alike: the fast ones. A product is cut into pieces
/// that end together on cores alike; one slow core keeps all fast ones waiting. `None` where all
/// are alike, or nothing is known.
///
/// Threads are not pinned to these cores: the system gives busy threads the fast ones by itself,
/// and may move them when another program needs one.
#[must_use]
pub fn fast_cores(threads: &[HardwareThread]) -> Option<usize> {
    let fastest = threads.iter().map(|thread| thread.speed).max()?;
    let is_fast = |thread: &&HardwareThread| u64::from(thread.speed) * FAST.1 >= u64::from(fastest) * FAST.0;
    let core = |thread: &HardwareThread| thread.core;
    let fast = distinct(threads.iter().filter(is_fast).map(core));
    let all = distinct(threads.iter().map(core));
    (fast < all).then_some(if fast < FEWEST { all } else { fast })
}

fn distinct(cores: impl Iterator<Item = u32>) -> usize {
    let mut cores: Vec<u32> = cores.collect();
    cores.sort_unstable();
    cores.dedup();
    cores.len()
}

/// What each of so many models gets of the threads while they all compute: together no more than
/// there are, each at least one, and none two more than another.
#[must_use]
pub fn shares(threads: usize, models: usize) -> Vec<usize> {
    let threads = threads.max(1);
    let (each, rest) = (threads.checked_div(models), threads.checked_rem(models));
    let (Some(each), Some(rest)) = (each, rest) else {
        return Vec::new();
    };
    (0..models)
        .map(|place| (each + usize::from(place < rest)).max(1))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Cores of so many threads and this speed each.
    fn machine(cores: &[(usize, u32)]) -> Vec<HardwareThread> {
        (0..)
            .zip(cores)
            .flat_map(|(core, &(threads, speed))| vec![HardwareThread { core, speed }; threads])
            .collect()
    }

    #[test]
    fn efficiency_cores_are_left_alone() {
        let (p, e) = ((2, 1024), (1, 600));
        for (name, cores, expected) in [
            ("nothing is known", vec![], None),
            ("all alike", vec![(1, 1024); 4], None),
            ("all alike, two threads each", vec![p; 8], None),
            (
                "six fast ones and eight slow ones",
                [vec![p; 6], vec![e; 8]].concat(),
                Some(6),
            ),
            (
                "two fast ones and eight slow ones",
                [vec![p; 2], vec![e; 8]].concat(),
                Some(2),
            ),
            ("only the slow ones may be used", vec![e; 8], None),
            ("one fast one is too few", vec![p, e, e, e, e], Some(5)),
            (
                "fast ones of two kinds",
                vec![(1, 1024), (1, 871), (1, 871), (1, 871), (1, 300)],
                Some(4),
            ),
            (
                "slow ones of two kinds",
                vec![(1, 1024), (1, 1024), (1, 600), (1, 300)],
                Some(2),
            ),
            ("just fast enough", vec![(1, 1000), (1, 1000), (1, 750)], None),
            ("just too slow", vec![(1, 1000), (1, 1000), (1, 749)], Some(2)),
            ("no speed at all", vec![(1, 0), (1, 0)], None),
            ("very fast", vec![(1, u32::MAX), (1, u32::MAX), (1, 1)], Some(2)),
        ] {
            assert_eq!(fast_cores(&machine(&cores)), expected, "{name}");
        }
    }

    #[test]
    fn threads_are_shared_evenly() {
        for (threads, models, expected) in [
            (2, 1, vec![2]),
            (2, 2, vec![1, 1]),
            (3, 2, vec![2, 1]),
            (8, 3, vec![3, 3, 2]),
            (2, 3, vec![1, 1, 1]),
            (0, 2, vec![1, 1]),
            (8, 0, vec![]),
        ] {
            assert_eq!(shares(threads, models), expected, "{threads} for {models}");
        }
    }

    proptest! {
        #[test]
        fn nobody_goes_without_and_nobody_has_much_more(threads in 0..2000_usize, models in 1..200_usize) {
            let shares = shares(threads, models);
            prop_assert_eq!(shares.len(), models);
            prop_assert!(shares.iter().sum::<usize>() == threads.max(models));
            let (most, least) = (shares.iter().max().unwrap(), shares.iter().min().unwrap());
            prop_assert!(*least >= 1 && most - least <= 1);
        }

        #[test]
        fn never_more_cores_than_there_are(
            cores in proptest::collection::vec((1..3_usize, any::<u32>()), 0..40)
        ) {
            let threads = machine(&cores);
            if let Some(fast) = fast_cores(&threads) {
                prop_assert!(fast >= 1 && fast <= cores.len());
            }
        }
    }
}
