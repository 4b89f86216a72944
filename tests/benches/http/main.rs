//! The figures of the HTTP API, as a client on this machine sees them.
//!
//!     cargo bench -p airunner-tests --bench http -- --package DIR [--rounds N]
//!
//! `cargo xtask bench http` makes the package `small` of make_package.py if none is named: the answers
//! of the built-in model are too short to be timed. Prints a table in Markdown; nothing here passes or
//! fails, a person compares with the bars. `/health` is asked by wrk, which is in Debian's packages.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod flood;
mod health;
mod idle;
mod streaming;

use std::path::{Path, PathBuf};

use airunner_tests::http::Http;
use airunner_tests::{Daemon, Home};
use anyhow::Context;

/// Requests that may wait, as the bar for many at once says.
const QUEUE: &str = "64";
/// What the package is called.
const MODEL: &str = "bench";

/// What every measurement needs.
pub(crate) struct Bench {
    pub(crate) daemon: Daemon,
    pub(crate) http: Http,
    pub(crate) model: String,
    pub(crate) rounds: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut package, mut rounds) = (None, 5);
    while let Some(option) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--package" => package = Some(std::path::absolute(PathBuf::from(value))?),
            "--rounds" => rounds = value.parse()?,
            _ => anyhow::bail!("unknown option {option}"),
        }
    }
    let bench = prepare(&package.context("--package DIR is missing")?, rounds).await?;
    println!("| what | bar | measured |\n|---|---|---|");
    // What cannot be measured with this model is said, and the rest is measured all the same.
    let mut failed = None;
    for measured in [
        health::idle(&bench).await,
        streaming::against_grpc(&bench).await,
        streaming::constrained(&bench).await,
        health::while_generating(&bench).await,
        idle::clients(&bench).await,
        flood::at_once(&bench).await,
    ] {
        match measured {
            Ok(rows) => show(rows),
            Err(error) => {
                eprintln!("not measured: {error:#}");
                failed = Some(error);
            }
        }
    }
    bench.daemon.stop().await;
    failed.map_or(Ok(()), Err)
}

async fn prepare(package: &Path, rounds: usize) -> anyhow::Result<Bench> {
    let mut home = Home::new();
    home.set("AIRUNNER_MODELS_MAX_WAITING", QUEUE);
    let daemon = Daemon::start_in(home).await;
    let path = package.to_str().context("the package's path is not text")?;
    let import = ["models", "import", path, "--name", MODEL];
    daemon.home.cli().run(&import).await.succeeded();
    Ok(Bench {
        http: daemon.http().await,
        daemon,
        model: MODEL.to_owned(),
        rounds,
    })
}

fn show((what, bar, measured): (&str, &str, String)) {
    println!("| {what} | {bar} | {measured} |");
}

/// Memory that the daemon shares with nobody, bytes.
pub(crate) fn private_memory(bench: &Bench) -> anyhow::Result<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", bench.daemon.pid()))?;
    let mut total = 0.0;
    for line in rollup.lines().filter(|line| line.starts_with("Private_")) {
        let number = line
            .split_whitespace()
            .nth(1)
            .context("a line without a number")?;
        total += number.parse::<f64>()? * 1024.0;
    }
    Ok(total)
}
