//! Asks the system's own tool.

use std::process::{Command, Stdio};

use airunner_core::cores::HardwareThread;

use super::levels::{self, Level};

/// No machine has more levels than that.
const LEVELS: u32 = 8;

/// A program cannot be kept to some of the cores here, so all of them count.
pub(super) fn threads() -> Vec<HardwareThread> {
    let levels = number("hw.nperflevels").unwrap_or(0).min(LEVELS);
    let level = |level: u32| Level {
        name: text(&format!("hw.perflevel{level}.name")),
        cores: number(&format!("hw.perflevel{level}.physicalcpu")).unwrap_or(0),
    };
    levels::threads(&(0..levels).map(level).collect::<Vec<_>>())
}

fn number(name: &str) -> Option<u32> {
    text(name)?.parse().ok()
}

/// What is there under this name; none where there is nothing.
fn text(name: &str) -> Option<String> {
    let asked = Command::new("/usr/sbin/sysctl")
        .args(["-n", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = String::from_utf8(asked.ok()?.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
