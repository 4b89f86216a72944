//! Memory of the whole machine before, during and after a life.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::life::{Life, Workplace};
use crate::mib;

const CONTEXT: u32 = 1024;
/// Within this much of what was taken.
const ENOUGH: f64 = 0.98;
const PATIENCE: Duration = Duration::from_secs(2);
/// Less than this is lost in what everything else on the machine does.
const VISIBLE: f64 = 64.0;

pub(crate) async fn measure(workplace: &Workplace, packages: &[PathBuf]) -> anyhow::Result<()> {
    println!("| package | taken | back after the unload (bar 98 % within 2 s) |");
    println!("|---|---|---|");
    for package in packages {
        // Files that are read for the first time would count as taken.
        Life::begin(workplace, package, CONTEXT, None)
            .await?
            .end()
            .await?;
        let before = available()?;
        let life = Life::begin(workplace, package, CONTEXT, None).await?;
        life.fill().await?;
        let during = available()?;
        let taken = before - during;
        let name = package.file_name().unwrap_or_default().display().to_string();
        let begin = Instant::now();
        life.end().await?;
        if taken < VISIBLE {
            eprintln!("{name} takes too little to be seen: {taken:.0} MiB");
            continue;
        }
        let back = loop {
            let back = (available()? - during) / taken;
            if back >= ENOUGH || begin.elapsed() > PATIENCE {
                break back;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        println!(
            "| {name} | {taken:.0} MiB | {:.1} % after {:.2} s |",
            100.0 * back,
            begin.elapsed().as_secs_f64()
        );
    }
    println!();
    Ok(())
}

/// Of the whole machine, mebibytes.
fn available() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .context("MemAvailable")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(mib(kibibytes * 1024))
}
