//! Loads from packed copies against loads that pack.

use std::path::{Path, PathBuf};
use std::time::Instant;

use airunner_daemon::config::LogLevel;
use airunner_daemon::prepack::PrepackArguments;
use airunner_platform::ChildLimits;
use airunner_runtimes::Kernels;
use airunner_tests::{binary, onnxruntime_library};

use crate::life::{Life, Workplace};
use crate::mib;

const CONTEXT: u32 = 1024;

/// What takes longest in a round is what the machine did besides: the shortest of each side count.
pub(crate) async fn measure(
    workplace: &Workplace,
    packages: &[PathBuf],
    cache: &Path,
    rounds: usize,
) -> anyhow::Result<()> {
    println!(
        "| package | made in | load | load from copy | times as fast (bar 3) | resident, of it private |"
    );
    println!("|---|---|---|---|---|---|");
    std::fs::create_dir_all(cache)?;
    for package in packages {
        let made = make(package, cache).await?;
        let (mut without, mut with, mut memory) = (f64::MAX, f64::MAX, None);
        for _ in 0..rounds {
            let life = Life::begin(workplace, package, CONTEXT, None).await?;
            without = without.min(life.load_time.as_secs_f64());
            life.end().await?;
            let life = Life::begin(workplace, package, CONTEXT, Some(cache)).await?;
            anyhow::ensure!(life.loaded.prepacked, "the copy is used");
            with = with.min(life.load_time.as_secs_f64());
            memory = Some(life.memory()?);
            life.end().await?;
        }
        let memory = memory.unwrap_or_default();
        println!(
            "| {} | {made:.1} s | {without:.2} s | {with:.2} s | {:.1} | {:.0} MiB, {:.0} % |",
            package.file_name().unwrap_or_default().display(),
            without / with,
            mib(memory.resident_bytes),
            100.0 * mib(memory.private_bytes) / mib(memory.resident_bytes),
        );
    }
    println!();
    Ok(())
}

async fn make(package: &Path, cache: &Path) -> anyhow::Result<f64> {
    let arguments = PrepackArguments {
        model: "bench".to_owned(),
        directory: package.to_owned(),
        variant: String::new(),
        cache: cache.to_owned(),
        onnxruntime_library: onnxruntime_library(),
        threads: std::thread::available_parallelism()?.get(),
        kernels: Kernels::Auto,
        limits: ChildLimits::default(),
        log_level: LogLevel::Warn,
    };
    let begin = Instant::now();
    let mut child = tokio::process::Command::new(binary("airunnerd"))
        .args(arguments.to_line())
        .stdin(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let _stdin = child.stdin.take();
    let status = child.wait().await?;
    anyhow::ensure!(status.success(), "the copy was not made");
    Ok(begin.elapsed().as_secs_f64())
}
