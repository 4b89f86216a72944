use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use airunner_core::hardware::ProcessMemory;

/// One small file instead of everything a process table holds: this is asked with every status.
pub(super) fn memory(pid: u32) -> Option<ProcessMemory> {
    parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// How the path of a file is marked that has lost its name.
const GONE: &[u8] = b" (deleted)";

pub(super) fn program_was_replaced(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|program| program.as_os_str().as_bytes().ends_with(GONE))
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
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_program_whose_file_is_replaced_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let (program, other) = (directory.path().join("cat"), directory.path().join("other"));
        // Copied by a process of its own: the system runs no file that somebody has open for
        // writing, and what this process has open, one that another test is just starting has too.
        let mut copy = Command::new("cp");
        let copied = copy.arg("/bin/cat").arg(&program).status().unwrap();
        assert!(copied.success());
        let mut child = Command::new(&program).stdin(Stdio::piped()).spawn().unwrap();
        assert!(!program_was_replaced(child.id()));
        fs::copy("/bin/cat", &other).unwrap();
        fs::rename(&other, &program).unwrap();
        assert!(program_was_replaced(child.id()));
        // Its input ends, and so does it.
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }

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
