//! What the daemon costs while it does nothing, and how fast it is there and answers.

use std::time::{Duration, Instant};

use airunner_ipc_client::{Client, Endpoint};
use airunner_tests::bench::{Figure, median};
use airunner_tests::{Daemon, Home};
use anyhow::Context;

const IDLE: Duration = Duration::from_secs(60);
const CALLS: usize = 5000;

pub(crate) async fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let start = start_to_ready(rounds).await?;
    let daemon = Daemon::start_in(Home::new()).await;
    let status = daemon.home.cli().json(&["status"]).await;
    let endpoint = Endpoint::at(status["socket"].as_str().context("a socket")?.into());

    let before = cpu_ticks(daemon.pid())?;
    tokio::time::sleep(IDLE).await;
    let ticks = cpu_ticks(daemon.pid())? - before;
    // Linux counts in hundredths of a second towards every program.
    let share = ticks as f64 / 100.0 / IDLE.as_secs_f64() * 100.0;
    let resident = resident_bytes(daemon.pid())? as f64 / f64::from(1 << 20);

    let client = Client::connect(&endpoint).await?;
    let mut calls = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begin = Instant::now();
        client.control().status().await?;
        calls.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    daemon.stop().await;
    Ok(vec![
        Figure::new(
            "daemon idle: resident memory",
            "at most 40 MiB",
            format!("{resident:.1} MiB"),
        ),
        Figure::new(
            "daemon idle: CPU over 60 s",
            "at most 0.2 %",
            format!("{share:.2} %"),
        ),
        Figure::new(
            "`airunnerd` start to first answer",
            "at most 150 ms",
            format!("{start:.0} ms"),
        ),
        Figure::new(
            "unary call (status) over the socket, median",
            "at most 0.3 ms",
            format!("{:.3} ms", median(calls)),
        ),
    ])
}

/// Milliseconds from starting the process to its first answer, median.
async fn start_to_ready(rounds: usize) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..rounds.max(5) {
        let home = Home::new();
        let endpoint = Endpoint::of_daemon(&airunner_ipc_client::Places::under(home.path()));
        let begin = Instant::now();
        let mut child = tokio::process::Command::from(home.daemon_command())
            .kill_on_drop(true)
            .spawn()?;
        while Client::connect(&endpoint).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        child.kill().await?;
    }
    Ok(median(times))
}

/// User and system time of a process, in hundredths of a second.
fn cpu_ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(')').next().context("a stat line")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
