//! Levels of performance, the fastest first, as the system's own tool tells them.

use std::process::{Command, Stdio};

use airunner_core::cores::HardwareThread;

/// No machine has more levels than that.
const LEVELS: u32 = 8;
/// Nor more cores.
const MOST: u32 = 1024;

/// One per core. A program cannot be kept to some of them here, so all of them count.
pub(super) fn threads() -> Vec<HardwareThread> {
    let levels = number("hw.nperflevels").unwrap_or(0).min(LEVELS);
    let mut threads = Vec::new();
    for level in 0..levels {
        let cores = number(&format!("hw.perflevel{level}.physicalcpu")).unwrap_or(0);
        for _ in 0..cores.min(MOST) {
            threads.push(HardwareThread {
                core: u32::try_from(threads.len()).unwrap_or(u32::MAX),
                speed: u32::from(level == 0),
            });
        }
    }
    threads
}

fn number(name: &str) -> Option<u32> {
    let asked = Command::new("/usr/sbin/sysctl")
        .args(["-n", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    String::from_utf8(asked.ok()?.stdout).ok()?.trim().parse().ok()
}
