//! Estimates, and what the last life took, against what this life takes.

use std::path::{Path, PathBuf};

use airunner_core::memory::VariantEstimate;
use airunner_runtimes::package::{EstimateOptions, estimate};
use anyhow::{Context, anyhow};

use crate::life::{Life, PARALLEL_REQUESTS, PROMPT_CHUNK, Workplace};
use crate::mib;

pub(crate) async fn measure(
    workplace: &Workplace,
    packages: &[PathBuf],
    contexts: &[u32],
) -> anyhow::Result<()> {
    println!("| package | context | estimate | first life | estimate off | second life | learned off |");
    println!("|---|---|---|---|---|---|---|");
    let (mut worst, mut worst_learned) = (0.0_f64, 0.0_f64);
    for package in packages {
        for &context in contexts {
            let (first, variant, used) = peak(workplace, package, context).await?;
            let (second, _, _) = peak(workplace, package, context).await?;
            let foreseen = foreseen(package, &variant)?.footprint(used).total();
            let (off, learned) = (off(foreseen, first), off(first, second));
            (worst, worst_learned) = (worst.max(off.abs()), worst_learned.max(learned.abs()));
            println!(
                "| {} | {used} | {:.1} MiB | {:.1} MiB | {off:+.1} % | {:.1} MiB | {learned:+.1} % |",
                package.file_name().unwrap_or_default().display(),
                mib(foreseen),
                mib(first),
                mib(second),
            );
        }
    }
    println!();
    println!("Worst: estimate {worst:.1} % (bar 10 %), learned {worst_learned:.1} % (bar 3 %).\n");
    Ok(())
}

/// The most that was resident in a life with one conversation as long as the context, which
/// variant it was, and how long the context.
async fn peak(workplace: &Workplace, package: &Path, context: u32) -> anyhow::Result<(u64, String, u32)> {
    let life = Life::begin(workplace, package, context, None).await?;
    life.fill().await?;
    let peak = life.memory()?.peak_bytes;
    let (variant, used) = (life.loaded.variant.clone(), life.loaded.context_length);
    life.end().await?;
    Ok((peak, variant, used))
}

fn foreseen(package: &Path, variant: &str) -> anyhow::Result<VariantEstimate> {
    let options = EstimateOptions {
        parallel_requests: PARALLEL_REQUESTS as usize,
        prompt_chunk: PROMPT_CHUNK as usize,
        threads: None,
    };
    let estimated = estimate(package, &options).map_err(|fault| anyhow!("{fault}"))?;
    let mut variants = estimated.variants.into_iter();
    variants
        .find(|known| known.file == variant)
        .context("the variant that ran is estimated")
}

/// In per cent of what is true.
fn off(foreseen: u64, truth: u64) -> f64 {
    100.0 * (mib(foreseen) - mib(truth)) / mib(truth)
}
