//! What the whole machine gets back when a model goes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use airunner_platform::memory::Monitor;

use crate::life::{Life, Workplace};
use crate::mib;

/// Long enough to use what a model computes with.
const CONTEXT: u32 = 256;
const PATIENCE: Duration = Duration::from_secs(2);

/// One unload. Bytes.
struct Round {
    /// Of the worker alone, right before: nobody else has these pages, and they are no file's.
    private: u64,
    /// By which the machine's available memory rose.
    back: i64,
    gone_after: Duration,
}

impl Round {
    /// Per cent.
    fn share(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "figures for a person")]
        let (back, private) = (self.back as f64, self.private as f64);
        100.0 * back / private
    }
}

/// What is available to the machine moves with everything else it does: hence rounds, their median, and the extremes beside it.
pub(crate) async fn measure(
    workplace: &Workplace,
    packages: &[PathBuf],
    rounds: usize,
) -> anyhow::Result<()> {
    println!(
        "| package | private before the unload | worker gone after | back after 2 s (bar 98 %) | lowest, highest |"
    );
    println!("|---|---|---|---|---|");
    for package in packages {
        // What is read for the first time would be kept, and count against what comes back.
        Life::begin(workplace, package, CONTEXT, None)
            .await?
            .end()
            .await?;
        let mut unloads = Vec::new();
        for _ in 0..rounds {
            unloads.push(unload(workplace, package).await?);
        }
        let gone: Vec<f64> = unloads
            .iter()
            .map(|round| round.gone_after.as_secs_f64())
            .collect();
        let private: Vec<f64> = unloads.iter().map(|round| mib(round.private)).collect();
        let shares: Vec<f64> = unloads.iter().map(Round::share).collect();
        let (lowest, median, highest) = spread(shares);
        println!(
            "| {} | {:.0} MiB | {:.2} s (at most {:.2} s) | {median:.1} % (median of {rounds}) | {lowest:.1} %, {highest:.1} % |",
            package.file_name().unwrap_or_default().display(),
            spread(private).1,
            spread(gone.clone()).1,
            spread(gone).2,
        );
    }
    println!();
    Ok(())
}

async fn unload(workplace: &Workplace, package: &Path) -> anyhow::Result<Round> {
    let life = Life::begin(workplace, package, CONTEXT, None).await?;
    life.fill().await?;
    let private = life.memory()?.private_bytes;
    let during = available()?;
    let begin = Instant::now();
    life.end().await?;
    let gone_after = begin.elapsed();
    tokio::time::sleep_until((begin + PATIENCE).into()).await;
    Ok(Round {
        private,
        back: available()? - during,
        gone_after,
    })
}

/// The lowest, the median, the highest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

/// Of the whole machine, bytes, as the daemon reads it.
fn available() -> anyhow::Result<i64> {
    Ok(i64::try_from(Monitor::new().main().available_bytes)?)
}
