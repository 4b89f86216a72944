//! How fast models are fetched: `airunner models pull` against `curl`, from a hub on this machine
//! that is held to 125 MB/s.
//!
//! The pull is timed whole: asking the hub, fetching, checking every byte, flushing to the disk
//! and publishing. `curl` only writes a file.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::path::Path;
use std::time::{Duration, Instant};

use airunner_tests::{Daemon, Home, Hub, RemoteFile, noise};
use anyhow::{Context, ensure};

/// A gigabit line, bytes per second.
const LINE: u64 = 125_000_000;
const SIZE: usize = 1 << 30;
const REPOSITORY: &str = "team/bench";
const WEIGHTS: &str = "weights.onnx_data";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut rounds = 3;
    while let Some(option) = arguments.next() {
        ensure!(option == "--rounds", "unknown option {option}");
        rounds = arguments.next().context("--rounds needs a value")?.parse()?;
    }
    let hub = Hub::start().await;
    hub.slow(Some(LINE));
    let mut home = Home::new();
    let cache = home.path().join("hf-cache");
    home.set("AIRUNNER_DOWNLOADS_HUB", hub.endpoint())
        .set("HF_HUB_OFFLINE", "0")
        .set("HF_HUB_CACHE", cache.to_str().context("a text path")?);
    let daemon = Daemon::start_in(home).await;
    let mut ratios = Vec::new();
    let mut speeds = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Other bytes every time, so that nothing is here before.
        hub.publish(
            REPOSITORY,
            vec![
                RemoteFile::new("fake-model.json", b"{}".to_vec()),
                RemoteFile::new(WEIGHTS, noise(round + 1, SIZE)),
            ],
        );
        let theirs = curl(&hub, daemon.home.path()).await?;
        let ours = pull(&daemon).await?;
        ratios.push(theirs.as_secs_f64() / ours.as_secs_f64());
        speeds.0.push(megabytes_per_second(ours));
        speeds.1.push(megabytes_per_second(theirs));
    }
    println!("| what | bar | measured |\n|---|---|---|");
    println!(
        "| download of 1 GiB at 125 MB/s, verification included, against curl | at least 0.97 | {:.3} ({:.1} \
         against {:.1} MB/s) |",
        median(ratios),
        median(speeds.0),
        median(speeds.1)
    );
    daemon.stop().await;
    Ok(())
}

async fn curl(hub: &Hub, folder: &Path) -> anyhow::Result<Duration> {
    let target = folder.join("by-curl");
    let commit = hub.commit(REPOSITORY);
    let url = format!("{}/{REPOSITORY}/resolve/{commit}/{WEIGHTS}", hub.endpoint());
    let begin = Instant::now();
    let status = tokio::process::Command::new("curl")
        .args(["--silent", "--fail", "--output"])
        .arg(&target)
        .arg(url)
        .status()
        .await
        .context("curl cannot be run")?;
    let took = begin.elapsed();
    ensure!(status.success(), "curl failed: {status}");
    std::fs::remove_file(target)?;
    Ok(took)
}

async fn pull(daemon: &Daemon) -> anyhow::Result<Duration> {
    let cli = daemon.home.cli();
    let begin = Instant::now();
    cli.run(&["models", "pull", REPOSITORY]).await.succeeded();
    let took = begin.elapsed();
    cli.run(&["models", "remove", REPOSITORY]).await.succeeded();
    Ok(took)
}

fn megabytes_per_second(took: Duration) -> f64 {
    SIZE as f64 / 1e6 / took.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
