//! When memory is short, and by how much.

use std::time::Duration;

use airunner_core::hardware::Device;
use airunner_core::memory::{HEADROOM, MemoryReading};
use tokio::time::Instant;

/// Freeing memory takes a moment, and the figures must show it before more is asked for.
const PAUSE: Duration = Duration::from_secs(2);

/// Less than this is too little: 3 %, or the headroom if that is more, which on a small machine
/// or in a small control group is a tenth.
fn mark(total: u64) -> u64 {
    (total / 100 * 3).max(HEADROOM.min(total / 10))
}

/// How much more should be free, bytes; `None` if enough is.
///
/// Twice the mark, so that a little more use does not cross it again. Programs that wait for
/// memory are believed while less than a quarter is left: what counts as available may be the
/// files they read all the time. With more left they wait because of somebody else's limit.
pub(super) fn shortage(reading: &MemoryReading, stalled: bool) -> Option<u64> {
    let mark = mark(reading.total_bytes);
    let available = reading.available_bytes;
    let missing = mark.saturating_mul(2).saturating_sub(available);
    if available < mark || (stalled && missing > 0) {
        return Some(missing);
    }
    (stalled && available < reading.total_bytes / 4).then_some(mark)
}

/// Says which devices to speak of now.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    spoken: Vec<(Device, Instant)>,
}

impl Pauses {
    /// False within the pause after it was true last.
    pub(super) fn is_over(&mut self, device: Device, now: Instant) -> bool {
        self.spoken.retain(|(_, at)| now.duration_since(*at) < PAUSE);
        if self.spoken.iter().any(|(spoken, _)| *spoken == device) {
            return false;
        }
        self.spoken.push((device, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn little_memory_is_short_and_stalls_make_it_short_earlier() {
        let hundred = 100 * 1024 * MIB;
        let mark = hundred / 100 * 3;
        for (total, available, stalled, expected) in [
            (hundred, hundred / 2, false, None),
            (hundred, mark, false, None),
            (hundred, mark - 1, false, Some(mark + 1)),
            (hundred, 0, false, Some(2 * mark)),
            (hundred, mark + 1, true, Some(mark - 1)),
            (hundred, 2 * mark, true, Some(mark)),
            (hundred, hundred / 4, true, None),
            (hundred, hundred / 2, true, None),
            (4096 * MIB, 256 * MIB, false, None),
            (4096 * MIB, 255 * MIB, false, Some(257 * MIB)),
            (500 * MIB, 51 * MIB, false, None),
            (500 * MIB, 49 * MIB, false, Some(51 * MIB)),
            (0, 0, true, None),
            (u64::MAX, 0, true, Some(u64::MAX / 100 * 6)),
        ] {
            let reading = MemoryReading {
                total_bytes: total,
                available_bytes: available,
                own_bytes: 0,
            };
            assert_eq!(
                shortage(&reading, stalled),
                expected,
                "{available} of {total}, {stalled}"
            );
        }
    }

    #[test]
    fn each_device_is_spoken_of_once_in_a_while() {
        let mut pauses = Pauses::default();
        let start = Instant::now();
        assert!(pauses.is_over(Device::Cpu, start));
        assert!(!pauses.is_over(Device::Cpu, start + PAUSE / 2));
        assert!(pauses.is_over(Device::Cuda(0), start + PAUSE / 2));
        assert!(pauses.is_over(Device::Cpu, start + PAUSE));
        assert!(!pauses.is_over(Device::Cuda(0), start + PAUSE));
    }
}
