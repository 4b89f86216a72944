//! What goes when there is too much: pure decisions.

use std::time::{Duration, SystemTime};

/// A file, or one that is to be, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) bytes: u64,
    pub(super) used: SystemTime,
}

/// Between two blocks of one sequence. Fine enough that a whole context is within seconds, and
/// coarse enough for every file system that tells more than seconds.
const STEP: Duration = Duration::from_millis(1);

/// When a block counts as used: the later ones of a sequence a little before the earlier ones, so
/// that ends go before the beginnings they need.
pub(super) fn stamp(now: SystemTime, place: usize) -> SystemTime {
    let place = u32::try_from(place).unwrap_or(u32::MAX);
    let earlier = STEP.checked_mul(place).and_then(|before| now.checked_sub(before));
    earlier.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Which files go so that the others are no more than `most` bytes: the longest unused ones.
pub(super) fn superfluous(held: &[Held], most: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..held.len()).collect();
    order.sort_by_key(|&file| std::cmp::Reverse(held[file].used));
    let mut kept = 0_u64;
    let mut fits = |&file: &usize| {
        kept = kept.saturating_add(held[file].bytes);
        kept <= most
    };
    let stay = order.iter().take_while(|file| fits(file)).count();
    order.split_off(stay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn the_longest_unused_go() {
        let held = [(10, 3), (10, 1), (10, 4), (5, 2)].map(|(bytes, second)| Held {
            bytes,
            used: at(second),
        });
        for (most, expected) in [
            (35, vec![]),
            (34, vec![1]),
            (25, vec![1]),
            (24, vec![3, 1]),
            (19, vec![0, 3, 1]),
            (9, vec![2, 0, 3, 1]),
            (0, vec![2, 0, 3, 1]),
        ] {
            assert_eq!(superfluous(&held, most), expected, "{most}");
        }
    }

    #[test]
    fn the_end_of_a_sequence_is_older_than_its_beginning() {
        let now = at(1_000_000);
        assert_eq!(stamp(now, 0), now);
        assert!((1..5000).all(|place| stamp(now, place) < stamp(now, place - 1)));
        assert!(stamp(now, usize::MAX) <= stamp(now, 5000));
        assert_eq!(
            stamp(SystemTime::UNIX_EPOCH, usize::MAX).min(at(0)),
            stamp(SystemTime::UNIX_EPOCH, usize::MAX)
        );
    }

    proptest! {
        #[test]
        fn what_stays_fits_and_is_newer_than_what_goes(
            files in prop::collection::vec((0_u64..50, 0_u64..20), 0..30),
            most in 0_u64..600,
        ) {
            let held: Vec<Held> = files
                .into_iter()
                .map(|(bytes, second)| Held { bytes, used: at(second) })
                .collect();
            let gone = superfluous(&held, most);
            let stays = |file: &usize| !gone.contains(file);
            let staying: Vec<usize> = (0..held.len()).filter(stays).collect();
            let sum: u64 = staying.iter().map(|&file| held[file].bytes).sum();
            prop_assert!(sum <= most);
            for &file in &gone {
                prop_assert!(staying.iter().all(|&other| held[other].used >= held[file].used));
            }
            if let Some(newest) = gone.first() {
                prop_assert!(sum + held[*newest].bytes > most, "nothing goes without need");
            }
        }
    }
}
