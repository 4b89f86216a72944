//! The figures of the foundation: daemon, worker and client against a bare ONNX Runtime loop on
//! the same package, in one run. `cargo xtask bench` builds everything and calls this.
//!
//!     cargo bench -p airunner-tests --bench foundation -- --package DIR --bare-loop FILE [--rounds N]
//!
//! Prints a table in Markdown. Ratios are medians over interleaved rounds; nothing here passes or
//! fails, a person compares with the bars.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod answers;
mod idle;
mod memory;
mod speed;

use std::path::PathBuf;

use airunner_core::ModelName;
use airunner_ipc_client::{Client, Endpoint};
use airunner_tests::bench::{Figure, describe};
use airunner_tests::{Daemon, Home};
use anyhow::Context;

/// What every measurement needs.
pub(crate) struct Bench {
    pub(crate) daemon: Daemon,
    pub(crate) client: Client,
    pub(crate) model: ModelName,
    pub(crate) package: PathBuf,
    pub(crate) bare_loop: PathBuf,
    pub(crate) rounds: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut package, mut bare_loop, mut rounds) = (None, None, 5);
    while let Some(option) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--package" => package = Some(PathBuf::from(value)),
            "--bare-loop" => bare_loop = Some(PathBuf::from(value)),
            "--rounds" => rounds = value.parse()?,
            _ => anyhow::bail!("unknown option {option}"),
        }
    }
    let package = std::path::absolute(package.context("--package DIR is missing")?)?;
    let bare_loop = bare_loop.context("--bare-loop FILE is missing")?;

    println!("{}\n", describe());
    println!("| what | bar | measured |\n|---|---|---|");
    show("an idle daemon", idle::measure(rounds).await?);
    let bench = prepare(package, bare_loop, rounds).await?;
    show("one request", speed::alone(&bench).await?);
    show("several requests", speed::together(&bench).await?);
    show("a conversation", vec![answers::second_turn(&bench).await?]);
    show("cancelling", answers::cancel(&bench).await?);
    show("unloading", vec![memory::after_unload(&bench).await?]);
    bench.daemon.stop().await;
    Ok(())
}

fn show(what: &str, figures: Vec<Figure>) {
    eprintln!("measured: {what}");
    for figure in figures {
        println!("{figure}");
    }
}

async fn prepare(package: PathBuf, bare_loop: PathBuf, rounds: usize) -> anyhow::Result<Bench> {
    let daemon = Daemon::start_in(Home::new()).await;
    let path = package.to_str().context("the package's path is not text")?;
    daemon
        .home
        .cli()
        .run(&["models", "import", path, "--name", "bench"])
        .await
        .succeeded();
    let status = daemon.home.cli().json(&["status"]).await;
    let socket = status["socket"].as_str().context("status names the socket")?;
    let client = Client::connect(&Endpoint::at(socket.into())).await?;
    Ok(Bench {
        daemon,
        client,
        model: ModelName::new("bench")?,
        package,
        bare_loop,
        rounds,
    })
}
