use std::fs;

use airunner_core::hardware::ProcessMemory;

/// One small file instead of everything a process table holds: this is asked with every status.
pub(super) fn memory(pid: u32) -> Option<ProcessMemory> {
    parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// `None` without a resident size, as of a process that has ended and was not waited for.
fn parse(status: &str) -> Option<ProcessMemory> {
    let mut resident = None;
    let mut memory = ProcessMemory::default();
    for line in status.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        match name {
            "VmRSS" => resident = bytes(value),
            "VmHWM" => memory.peak_bytes = bytes(value).unwrap_or(0),
            "RssAnon" | "RssShmem" => {
                memory.private_bytes = memory.private_bytes.saturating_add(bytes(value).unwrap_or(0));
            }
            _ => {}
        }
    }
    memory.resident_bytes = resident?;
    memory.private_bytes = memory.private_bytes.min(memory.resident_bytes);
    memory.peak_bytes = memory.peak_bytes.max(memory.resident_bytes);
    Some(memory)
}

fn bytes(value: &str) -> Option<u64> {
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn memory(resident: u64, private: u64, peak: u64) -> Option<ProcessMemory> {
        Some(ProcessMemory {
            resident_bytes: resident << 10,
            private_bytes: private << 10,
            peak_bytes: peak << 10,
        })
    }

    #[test]
    fn the_status_of_a_process_is_read() {
        for (status, expected) in [
            (
                "Name:\tairunnerd\nVmHWM:\t    9000 kB\nVmRSS:\t    8000 kB\nRssAnon:\t    5000 kB\n\
                 RssFile:\t    2900 kB\nRssShmem:\t     100 kB\n",
                memory(8000, 5100, 9000),
            ),
            (
                "VmRSS:\t 10 kB\nRssAnon:\t 20 kB\nVmHWM:\t 5 kB\n",
                memory(10, 10, 10),
            ),
            ("VmRSS:\t 10 kB\n", memory(10, 0, 10)),
            (
                "VmRSS:\t 10 kB\nRssAnon:\t -5 kB\nVmHWM: nonsense\n",
                memory(10, 0, 10),
            ),
            ("VmRSS:\t 99999999999999999999 kB\n", None),
            ("VmRSS:\t 18446744073709551615 kB\n", None),
            ("VmRSS:\t 10\n", None),
            ("Name:\tzombie\nState:\tZ (zombie)\n", None),
            ("", None),
        ] {
            assert_eq!(parse(status), expected, "{status:?}");
        }
    }
}
