//! Memory with a context that is full, and the time a load takes.

use airunner_tests::bench::{Figure, median, prompt, ratio};
use anyhow::Context;

use crate::Bench;
use crate::ours::Ours;
use crate::peer::Peer;

const CONTEXT: usize = 2048;
const ANSWER: u32 = 100;

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for round in 1..=bench.rounds as u64 {
        let context = CONTEXT.to_string();
        let fresh = Ours::start(&bench.package, &[("AIRUNNER_RUNTIME_CONTEXT_LENGTH", &context)]).await?;
        first.push(fresh.load().await?.0.as_secs_f64());
        second.push(load_again(&fresh).await?);
        ours.push(of_ours(&fresh, round).await?);
        fresh.stop().await;
        theirs.push(of_peer(bench).await?);
        eprintln!("measured: memory and loads, round {round} of {}", bench.rounds);
    }
    let mebibytes = |values: &[f64]| median(values.to_vec()) / f64::from(1 << 20);
    let memory = format!(
        "{:.2} ({:.0} against {:.0} MiB)",
        ratio(&ours, &theirs),
        mebibytes(&ours),
        mebibytes(&theirs)
    );
    Ok(vec![
        Figure::new(
            "resident memory (Pss) of the worker against llama.cpp Q4_K_M without Python, context of 2,048 tokens, full",
            "at most 0.9",
            memory,
        ),
        Figure::new("first load", "", format!("{:.2} s", median(first))),
        Figure::new("second load", "at most 0.4 s", format!("{:.2} s", median(second))),
    ])
}

async fn of_ours(ours: &Ours, seed: u64) -> anyhow::Result<f64> {
    let (_, instance) = ours.load().await?;
    ours.ask(prompt(CONTEXT - ANSWER as usize, seed), ANSWER, seed)
        .await?;
    resident(instance.pid)
}

/// Seconds of a load from what the first one left behind; if that is nothing, of a plain one.
async fn load_again(ours: &Ours) -> anyhow::Result<f64> {
    ours.settle().await?;
    ours.unload().await?;
    let (time, _) = ours.load().await?;
    Ok(time.as_secs_f64())
}

/// What the process has beyond itself without a model.
async fn of_peer(bench: &Bench) -> anyhow::Result<f64> {
    let mut peer = Peer::start(bench, &bench.models.q4_k_m).await?;
    let without = resident(peer.pid()?)?;
    peer.decode_within(1, CONTEXT - ANSWER as usize, ANSWER, CONTEXT)
        .await?;
    Ok(resident(peer.pid()?)? - without)
}

/// Bytes in memory, of what is shared a share.
fn resident(pid: u32) -> anyhow::Result<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kibibytes.context("Pss")?.parse::<f64>()? * 1024.0)
}
