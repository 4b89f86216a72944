//! How much of the processor this process may use.

/// Physical cores this process may use: what affinity and control groups allow, and no more than
/// there are cores, because two threads of one core only wait for each other's arithmetic.
#[must_use]
pub fn usable_cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let physical = sysinfo::System::physical_core_count().unwrap_or(allowed).max(1);
    allowed.min(physical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_core() {
        assert!(usable_cores() >= 1);
    }
}
