//! How many threads compute, and how models that compute at the same time share them.

use std::collections::BTreeMap;

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
/// Where fewer cores than this are the fastest, the next ones are the measure.
const FEWEST: usize = 2;

/// Cores to compute with: all where they are alike, else the fast ones. A product is cut into
/// pieces that end together on cores alike; one slow core keeps all fast ones waiting. `None` where
/// nothing is known.
///
/// Threads are not pinned to these cores: the system gives busy threads the fast ones by itself,
/// and may move them when another program needs one.
#[must_use]
pub fn cores_to_use(threads: &[HardwareThread]) -> Option<usize> {
    let mut cores = BTreeMap::new();
    for thread in threads {
        let speed = cores.entry(thread.core).or_insert(thread.speed);
        *speed = thread.speed.max(*speed);
    }
    let mut speeds: Vec<u32> = cores.into_values().collect();
    speeds.sort_unstable_by(|a, b| b.cmp(a));
    let measure = *speeds.get(FEWEST - 1).or(speeds.first())?;
    let is_fast = |speed: &&u32| u64::from(**speed) * FAST.1 >= u64::from(measure) * FAST.0;
    Some(speeds.iter().filter(is_fast).count())
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
            ("a single one", vec![p], Some(1)),
            ("all alike", vec![(1, 1024); 4], Some(4)),
            ("all alike, two threads each", vec![p; 8], Some(8)),
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
            ("only the slow ones may be used", vec![e; 8], Some(8)),
            ("one fast one is too few", vec![p, e, e, e, e], Some(5)),
            (
                "one fast one, three of a middle kind and four slow ones",
                [vec![(1, 1024)], vec![(1, 700); 3], vec![(1, 300); 4]].concat(),
                Some(4),
            ),
            ("one fast and one slow one", vec![p, e], Some(2)),
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
            ("just fast enough", vec![(1, 1000), (1, 1000), (1, 750)], Some(3)),
            ("just too slow", vec![(1, 1000), (1, 1000), (1, 749)], Some(2)),
            ("no speed at all", vec![(1, 0), (1, 0)], Some(2)),
            ("very fast", vec![(1, u32::MAX), (1, u32::MAX), (1, 1)], Some(2)),
        ] {
            assert_eq!(cores_to_use(&machine(&cores)), expected, "{name}");
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
            let fast = cores_to_use(&threads);
            prop_assert_eq!(fast.is_none(), cores.is_empty());
            prop_assert!(fast.is_none_or(|fast| fast >= cores.len().min(FEWEST) && fast <= cores.len()));
        }
    }
}
