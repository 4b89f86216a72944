//! `/proc/zoneinfo`: free pages that the kernel keeps at hand for each processor.
//!
//! Pages that a process gave back wait there, up to an eighth of a zone since Linux 6.7, and
//! `/proc/meminfo` counts them neither as free nor as available. A gigabyte that a worker has just
//! given back would look as if somebody else had taken it.

/// Pages in the lists of all processors.
pub(super) fn pages_at_hand(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("count:"))
        .filter_map(|count| count.trim().parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::pages_at_hand;

    #[test]
    fn the_lists_of_all_processors_and_zones_count() {
        let text = "Node 0, zone   Normal\n  pages free     2405\n        count_like 7\n  pagesets\n    cpu: 0\n              \
                    count:    130\n              high:     1444\n    cpu: 1\n              count: 70\n  node_unreclaimable: 0\n\
                    Node 0, zone  Movable\n  pagesets\n    cpu: 0\n              count: 5\n";
        assert_eq!(pages_at_hand(text), 205);
        for nothing in ["", "count: many", "counts: 4", "count: -1"] {
            assert_eq!(pages_at_hand(nothing), 0, "{nothing:?}");
        }
    }
}
