//! What Windows tells of cores: records of different lengths one behind the other.

use airunner_core::cores::HardwareThread;

/// `Relationship` and `Size`, four bytes each.
const HEAD: usize = 8;
/// `RelationProcessorCore`.
const CORE: u32 = 0;
/// Where `EfficiencyClass` is.
const CLASS: usize = HEAD + 1;
/// Where `GroupMask` is: the threads of the core, and the group these belong to.
const MASK: usize = HEAD + 24;
const GROUP: usize = MASK + size_of::<u64>();

/// Threads of one group that a process may run on.
#[derive(Clone, Copy)]
pub(super) struct Allowed {
    pub(super) group: u16,
    pub(super) mask: u64,
}

/// One per core that may be used, those of the highest class among them fast. Ends where a record
/// does not fit.
pub(super) fn threads(mut records: &[u8], allowed: Option<Allowed>) -> Vec<HardwareThread> {
    let mut classes = Vec::new();
    while let (Some(kind), Some(size)) = (word(records, 0), word(records, 4)) {
        let size = size as usize;
        if size < HEAD || size > records.len() {
            break;
        }
        let (record, rest) = records.split_at(size);
        if let (CORE, Some(class)) = (kind, record.get(CLASS))
            && allowed.is_none_or(|allowed| is_allowed(record, allowed))
        {
            classes.push(*class);
        }
        records = rest;
    }
    let fastest = classes.iter().max().copied();
    (0..)
        .zip(classes)
        .map(|(core, class)| HardwareThread {
            core,
            speed: u32::from(Some(class) == fastest),
        })
        .collect()
}

/// One whose threads are not told is.
fn is_allowed(core: &[u8], allowed: Allowed) -> bool {
    let mask = core.get(MASK..GROUP).and_then(|mask| mask.try_into().ok());
    let group = core.get(GROUP..GROUP + 2).and_then(|group| group.try_into().ok());
    let (Some(mask), Some(group)) = (mask, group) else {
        return true;
    };
    u16::from_ne_bytes(group) == allowed.group && u64::from_ne_bytes(mask) & allowed.mask != 0
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use airunner_core::cores::cores_to_use;

    use super::*;

    /// A record of a core with one group, or of something else.
    fn record(kind: u32, class: u8) -> Vec<u8> {
        let mut record = vec![0; 48];
        record[..4].copy_from_slice(&kind.to_ne_bytes());
        record[4..8].copy_from_slice(&48_u32.to_ne_bytes());
        record[9] = class;
        record
    }

    #[test]
    fn the_highest_class_is_fast() {
        let machine =
            |classes: &[u8]| -> Vec<u8> { classes.iter().flat_map(|class| record(CORE, *class)).collect() };
        for (classes, expected) in [
            (vec![0, 0, 0, 0], Some(4)),
            (vec![1, 1, 0, 0, 0], Some(2)),
            (vec![2, 2, 2, 1, 1, 0], Some(3)),
            (vec![], None),
        ] {
            assert_eq!(
                cores_to_use(&threads(&machine(&classes), None)),
                expected,
                "{classes:?}"
            );
        }
    }

    #[test]
    fn only_cores_with_a_thread_that_may_be_used_count() {
        let core = |class: u8, mask: u64, group: u16| {
            let mut core = record(CORE, class);
            core[32..40].copy_from_slice(&mask.to_ne_bytes());
            core[40..42].copy_from_slice(&group.to_ne_bytes());
            core
        };
        let hybrid = [
            core(1, 0b11, 0),
            core(1, 0b1100, 0),
            core(0, 0b1_0000, 0),
            core(0, 0b10_0000, 0),
            core(0, 0b100_0000, 0),
        ]
        .concat();
        let groups = [core(0, 0b11, 0), core(0, 0b1100, 0), core(0, 0b11, 1)].concat();
        for (records, group, mask, expected) in [
            (&hybrid, 0, u64::MAX, Some(2)),
            (&hybrid, 0, 0b1111, Some(2)),
            (&hybrid, 0, 0b101, Some(2)),
            (&hybrid, 0, 0b111_0000, Some(3)),
            (&hybrid, 0, 1 << 63, None),
            (&groups, 0, u64::MAX, Some(2)),
            (&groups, 1, 0b10, Some(1)),
            (&groups, 2, u64::MAX, None),
        ] {
            let threads = threads(records, Some(Allowed { group, mask }));
            assert_eq!(cores_to_use(&threads), expected, "{mask:b} of group {group}");
        }
        let short = [&CORE.to_ne_bytes()[..], &10_u32.to_ne_bytes(), &[0, 1]].concat();
        let allowed = Some(Allowed { group: 0, mask: 1 });
        assert_eq!(
            threads(&short, allowed).len(),
            1,
            "a core that does not tell its threads"
        );
    }

    #[test]
    fn what_is_no_core_or_does_not_fit_is_left_out() {
        let mut records = record(3, 7);
        records.extend(record(CORE, 1));
        assert_eq!(threads(&records, None), [HardwareThread { core: 0, speed: 1 }]);
        records.truncate(90);
        assert_eq!(threads(&records, None), []);
        let mut endless = record(CORE, 1);
        endless[4..8].copy_from_slice(&0_u32.to_ne_bytes());
        assert_eq!(threads(&endless, None), []);
        assert_eq!(threads(&[0; 7], None), []);
    }
}
