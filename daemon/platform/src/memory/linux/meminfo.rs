//! `/proc/meminfo`.

/// What the machine has, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) total_bytes: u64,
    pub(super) available_bytes: u64,
}

impl Installed {
    /// Kernels before 3.14 do not estimate what is available; what is free or cached has to do.
    pub(super) fn parse(text: &str) -> Self {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .and_then(bytes)
        };
        let total = field("MemTotal").unwrap_or(0);
        let available = field("MemAvailable").unwrap_or_else(|| {
            let cached = field("Cached")
                .unwrap_or(0)
                .saturating_sub(field("Shmem").unwrap_or(0));
            field("MemFree").unwrap_or(0).saturating_add(cached)
        });
        Self {
            total_bytes: total,
            available_bytes: available.min(total),
        }
    }

    /// With free memory that the file does not count.
    pub(super) fn with_free(self, bytes: u64) -> Self {
        Self {
            available_bytes: self.available_bytes.saturating_add(bytes).min(self.total_bytes),
            ..self
        }
    }
}

fn bytes(value: &str) -> Option<u64> {
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_and_available_are_read() {
        for (text, total, available) in [
            (
                "MemTotal:       24684084 kB\nMemFree:          780152 kB\nMemAvailable:   24017868 kB\n",
                24_684_084,
                24_017_868,
            ),
            (
                "MemTotal: 100 kB\nMemFree: 20 kB\nCached: 30 kB\nShmem: 10 kB\n",
                100,
                40,
            ),
            ("MemTotal: 100 kB\nMemFree: 20 kB\nSwapCached: 30 kB\n", 100, 20),
            (
                "MemTotal: 100 kB\nMemFree: 1 kB\nCached: 3 kB\nShmem: 10 kB\n",
                100,
                1,
            ),
            ("MemTotal: 100 kB\nMemAvailable: 900 kB\n", 100, 100),
            ("MemTotal: 100 kB\n", 100, 0),
            ("MemTotal: -100 kB\nMemAvailable: 5 kB\n", 0, 0),
            ("MemTotal: 18446744073709551615 kB\n", 0, 0),
            ("MemTotal: 100\n", 0, 0),
            ("MemTotal\nMemAvailable", 0, 0),
            ("", 0, 0),
        ] {
            let installed = Installed {
                total_bytes: total << 10,
                available_bytes: available << 10,
            };
            assert_eq!(Installed::parse(text), installed, "{text:?}");
        }
    }
}
