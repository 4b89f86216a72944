//! What the tray takes while nothing happens.

use std::time::Duration;

use airunner_tests::bench::Figure;
use airunner_tests::desktop::{SessionBus, Watcher};
use airunner_tests::{Daemon, Home};
use anyhow::Context;

const IDLE: Duration = Duration::from_secs(30);
/// After its start, and after a daemon has gone, the tray tries a few times more.
const REST: Duration = Duration::from_secs(25);

pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let bus = SessionBus::start(&[]).await;
    let daemon = Daemon::start().await;
    let nobody = Home::new();
    let mut figures = Vec::new();
    for (what, home) in [("the daemon runs", &daemon.home), ("no daemon runs", &nobody)] {
        let mut watcher = Watcher::start(&bus).await;
        let mut tray = crate::tray(home, &bus)?;
        let menu = watcher.first().await;
        tokio::time::sleep(REST).await;
        menu.lines().await?;
        let pid = tray.id().context("the tray runs")?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = wake_ups(pid)?;
        tokio::time::sleep(IDLE).await;
        let wake_ups = wake_ups(pid)? - before;
        let resident = resident(pid)? as f64 / 1024.0;
        figures.push(Figure::new(
            format!("resident memory, {what}"),
            "at most 25 MiB",
            format!("{resident:.1} MiB"),
        ));
        figures.push(Figure::new(
            format!(
                "context switches of all its threads in {} s, {what}",
                IDLE.as_secs()
            ),
            "0 a second",
            wake_ups.to_string(),
        ));
        tray.kill().await?;
        watcher.end().await;
    }
    daemon.stop().await;
    Ok(figures)
}

/// How often its threads have given up the processor or lost it, so far.
fn wake_ups(pid: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = std::fs::read_to_string(thread?.path().join("status"))?;
        for line in status.lines().filter(|line| line.contains("ctxt_switches:")) {
            let value = line.split_whitespace().last().context("a number")?;
            sum += value.parse::<u64>()?;
        }
    }
    Ok(sum)
}

/// KiB.
fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
