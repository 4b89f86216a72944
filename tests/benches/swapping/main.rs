//! Two models that do not fit side by side, in turns, against the same loads with nothing to
//! unload. `cargo xtask bench` builds everything and calls this.
//!
//!     cargo bench -p airunner-tests --bench swapping -- --package DIR [--rounds N]
//!
//! Prints a table in Markdown; nothing here passes or fails, a person compares with the bar.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use airunner_core::ModelName;
use airunner_core::memory::{Budget, BudgetChange, DeviceClass};
use airunner_core::model::{LoadEvent, LoadRequest, UnloadRequest};
use airunner_ipc_client::{Client, Endpoint};
use airunner_tests::{Daemon, Home};
use anyhow::Context;

struct Bench {
    client: Client,
    names: [ModelName; 2],
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (package, rounds) = arguments()?;
    let mut home = Home::new();
    // Both sides read the package itself: a copy made in between would favour the later loads.
    home.set("AIRUNNER_MODELS_PREPACKED_CACHE", "0");
    let daemon = Daemon::start_in(home).await;
    let bench = Bench::prepare(&daemon, &package).await?;
    let (mut alone, mut swapping) = (Vec::new(), Vec::new());
    // The first load of each fills the page cache.
    bench.alone().await?;
    for _ in 0..rounds {
        alone.push(bench.alone().await?);
        swapping.push(bench.swapping().await?);
    }
    let (alone, swapping) = (median(alone), median(swapping));
    println!("| what | bar | measured |\n|---|---|---|");
    println!(
        "| swapping A, B, A: time of the loads with an eviction before each, against the same loads alone | \
         at most 1.05 | {:.3} ({:.2} s against {:.2} s) |",
        swapping.as_secs_f64() / alone.as_secs_f64(),
        swapping.as_secs_f64(),
        alone.as_secs_f64()
    );
    daemon.stop().await;
    Ok(())
}

fn arguments() -> anyhow::Result<(PathBuf, usize)> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut package, mut rounds) = (None, 5);
    while let Some(option) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--package" => package = Some(PathBuf::from(value)),
            "--rounds" => rounds = value.parse()?,
            _ => anyhow::bail!("unknown option {option}"),
        }
    }
    Ok((
        std::path::absolute(package.context("--package DIR is missing")?)?,
        rounds,
    ))
}

impl Bench {
    async fn prepare(daemon: &Daemon, package: &Path) -> anyhow::Result<Self> {
        let path = package.to_str().context("the package's path is not text")?;
        for name in ["a", "b"] {
            let import = ["models", "import", path, "--name", name, "--link"];
            daemon.home.cli().run(&import).await.succeeded();
        }
        let status = daemon.home.cli().json(&["status"]).await;
        let socket = status["socket"].as_str().context("status names the socket")?;
        Ok(Self {
            client: Client::connect(&Endpoint::at(socket.into())).await?,
            names: [ModelName::new("a")?, ModelName::new("b")?],
        })
    }

    /// Loads both in turns with room for both, each unloaded before its clock starts again.
    async fn alone(&self) -> anyhow::Result<Duration> {
        self.budget(Budget::Percent(100)).await?;
        let mut time = Duration::ZERO;
        for name in [&self.names[0], &self.names[1], &self.names[0]] {
            self.unload_all().await?;
            time += self.load(name).await?;
        }
        self.unload_all().await?;
        Ok(time)
    }

    /// Loads both in turns with room for one: each load has to make its own room.
    async fn swapping(&self) -> anyhow::Result<Duration> {
        self.budget(Budget::Percent(100)).await?;
        self.load(&self.names[1]).await?;
        let memory = self.client.hardware().memory().await?;
        let one = memory.first().context("main memory")?.models_bytes;
        self.budget(Budget::Bytes(one + one / 2)).await?;
        let mut time = Duration::ZERO;
        for name in [&self.names[0], &self.names[1], &self.names[0]] {
            time += self.load(name).await?;
        }
        self.unload_all().await?;
        Ok(time)
    }

    async fn load(&self, name: &ModelName) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let mut events = self.client.models().load(LoadRequest::new(name.clone())).await?;
        while let Some(event) = events.next().await {
            if let LoadEvent::Loaded(_) = event? {
                break;
            }
        }
        Ok(begin.elapsed())
    }

    async fn unload_all(&self) -> anyhow::Result<()> {
        for name in &self.names {
            let request = UnloadRequest {
                name: name.clone(),
                force: false,
            };
            self.client.models().unload(request).await?;
        }
        Ok(())
    }

    async fn budget(&self, budget: Budget) -> anyhow::Result<()> {
        let device = DeviceClass::Cpu;
        self.client
            .hardware()
            .set_budget(BudgetChange { device, budget })
            .await?;
        Ok(())
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
