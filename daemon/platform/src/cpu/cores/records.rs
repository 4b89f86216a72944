//! What Windows tells of cores: records of different lengths one behind the other.

use airunner_core::cores::HardwareThread;

/// `Relationship` and `Size`, four bytes each.
const HEAD: usize = 8;
/// `RelationProcessorCore`.
const CORE: u32 = 0;
/// Where `EfficiencyClass` is.
const CLASS: usize = HEAD + 1;

/// One per core, those of the highest class fast. Ends where a record does not fit.
pub(super) fn threads(mut records: &[u8]) -> Vec<HardwareThread> {
    let mut classes = Vec::new();
    while let (Some(kind), Some(size)) = (word(records, 0), word(records, 4)) {
        let size = size as usize;
        if size < HEAD || size > records.len() {
            break;
        }
        let (record, rest) = records.split_at(size);
        if let (CORE, Some(class)) = (kind, record.get(CLASS)) {
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

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use airunner_core::cores::fast_cores;

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
            (vec![0, 0, 0, 0], None),
            (vec![1, 1, 0, 0, 0], Some(2)),
            (vec![2, 2, 2, 1, 1, 0], Some(3)),
            (vec![], None),
        ] {
            assert_eq!(fast_cores(&threads(&machine(&classes))), expected, "{classes:?}");
        }
    }

    #[test]
    fn what_is_no_core_or_does_not_fit_is_left_out() {
        let mut records = record(3, 7);
        records.extend(record(CORE, 1));
        assert_eq!(threads(&records), [HardwareThread { core: 0, speed: 1 }]);
        records.truncate(90);
        assert_eq!(threads(&records), []);
        let mut endless = record(CORE, 1);
        endless[4..8].copy_from_slice(&0_u32.to_ne_bytes());
        assert_eq!(threads(&endless), []);
        assert_eq!(threads(&[0; 7]), []);
    }
}
