//! How long to wait before something is tried again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

/// Doubles with every attempt, counted from 0. A part of it is chance, so that many who were
/// sent away at once do not come back at once. What the other side asks for is the least.
pub(super) fn wait(attempt: u32, asked: Option<Duration>) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempt.min(16)).min(LONGEST);
    let jittered = doubled.mul_f64(0.5 + chance() / 2.0);
    asked.map_or(jittered, |asked| asked.max(jittered))
}

/// From 0 to 1, different every time.
fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 32;
    f64::from(u32::try_from(bits).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_and_longer_but_not_for_ever() {
        for (attempt, most) in [(0, FIRST), (1, FIRST * 2), (5, FIRST * 32), (40, LONGEST)] {
            for _ in 0..50 {
                let time = wait(attempt, None);
                assert!(time >= most.mul_f64(0.49) && time <= most, "{attempt}: {time:?}");
            }
        }
    }

    #[test]
    fn a_wish_of_the_other_side_is_honoured() {
        assert_eq!(wait(0, Some(Duration::from_secs(90))), Duration::from_secs(90));
        assert!(wait(7, Some(Duration::ZERO)) >= FIRST);
    }
}
