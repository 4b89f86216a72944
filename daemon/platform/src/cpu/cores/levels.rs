//! What macOS tells of cores: levels of performance, the fastest first.

use airunner_core::cores::HardwareThread;

/// No machine has more cores of a level.
const MOST: u32 = 1024;
/// What the slow ones are called.
const SLOW: &str = "Efficiency";

pub(super) struct Level {
    /// None where the system is too old to tell.
    pub(super) name: Option<String>,
    pub(super) cores: u32,
}

/// One per core. A second level is slow if its name says so, as some machines have two fast ones,
/// or if it has no name.
pub(super) fn threads(levels: &[Level]) -> Vec<HardwareThread> {
    let mut threads = Vec::new();
    for (place, level) in levels.iter().enumerate() {
        let is_slow = place > 0 && level.name.as_deref().is_none_or(|name| name == SLOW);
        for _ in 0..level.cores.min(MOST) {
            threads.push(HardwareThread {
                core: u32::try_from(threads.len()).unwrap_or(u32::MAX),
                speed: u32::from(!is_slow),
            });
        }
    }
    threads
}

#[cfg(test)]
mod tests {
    use airunner_core::cores::cores_to_use;

    use super::*;

    #[test]
    fn slow_levels_are_left_alone() {
        for (levels, expected) in [
            (vec![], None),
            (vec![(None, 8)], Some(8)),
            (vec![(None, 4), (None, 4)], Some(4)),
            (vec![(Some("Performance"), 8), (Some("Efficiency"), 2)], Some(8)),
            (vec![(Some("Super"), 6), (Some("Performance"), 12)], Some(18)),
            (
                vec![
                    (Some("Super"), 6),
                    (Some("Performance"), 2),
                    (Some("Efficiency"), 4),
                ],
                Some(8),
            ),
            (vec![(Some("Efficiency"), 4)], Some(4)),
            (vec![(Some("Performance"), 0), (Some("Efficiency"), 4)], Some(4)),
            (vec![(None, u32::MAX)], Some(MOST as usize)),
        ] {
            let level = |(name, cores): &(Option<&str>, u32)| Level {
                name: name.map(str::to_owned),
                cores: *cores,
            };
            let machine: Vec<Level> = levels.iter().map(level).collect();
            assert_eq!(cores_to_use(&threads(&machine)), expected, "{levels:?}");
        }
    }
}
