//! Memory given back.

use std::time::{Duration, Instant};

use airunner_tests::bench::Figure;
use anyhow::Context;

use crate::Bench;
use crate::idle::resident_bytes;

/// Time from asking for the unload to the worker's end, and how much memory the machine has back.
pub(crate) async fn after_unload(bench: &Bench) -> anyhow::Result<Figure> {
    let row = bench.daemon.ps("bench").await.context("the model is loaded")?;
    let pid = u32::try_from(row["pid"].as_u64().context("a pid")?)?;
    let resident = resident_bytes(pid)? as f64;
    let before = available_bytes()?;
    let begin = Instant::now();
    bench
        .daemon
        .home
        .cli()
        .run(&["unload", "bench"])
        .await
        .succeeded();
    let gone = begin.elapsed();
    anyhow::ensure!(!airunner_tests::is_alive(pid), "the worker is still there");
    let back = loop {
        let back = available_bytes()? as f64 - before as f64;
        if back >= 0.95 * resident || begin.elapsed() > Duration::from_secs(2) {
            break back;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let measured = format!(
        "worker gone after {:.2} s; {:.0} of its {:.0} MiB back (file pages stay cached) after {:.2} s",
        gone.as_secs_f64(),
        back / f64::from(1 << 20),
        resident / f64::from(1 << 20),
        begin.elapsed().as_secs_f64(),
    );
    Ok(Figure::new(
        "after unload: worker gone, its memory back",
        "within 2 s",
        measured,
    ))
}

fn available_bytes() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .context("MemAvailable")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
