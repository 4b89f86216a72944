//! What the operating system knows of our processes.

use std::process::Command;

/// Sends a signal; a process that is gone already is fine.
pub fn send_signal(pid: u32, signal: i32) {
    let _ = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status()
        .expect("kill exists");
}

/// True while the process runs; a zombie does not.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// Living children of a process.
#[must_use]
pub fn children_of(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("Linux has /proc");
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|&pid| {
        state_and_parent(pid).is_some_and(|(state, of)| of == parent && state != 'Z' && state != 'X')
    })
    .collect()
}

/// Worker processes of a daemon.
#[must_use]
pub fn workers_of(daemon: u32) -> Vec<u32> {
    helpers_of(daemon, "worker")
}

/// Processes of a daemon that were started as this.
#[must_use]
pub fn helpers_of(daemon: u32, kind: &str) -> Vec<u32> {
    let is_one = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|&byte| byte == 0).any(|word| word == kind.as_bytes()))
    };
    children_of(daemon).into_iter().filter(is_one).collect()
}

fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = &stat[stat.rfind(')')? + 2..];
    let mut fields = after_name.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
