//! The speed of language models: the true daemon and client against llama.cpp and against ONNX
//! Runtime's own kernels, on the same shape, with the same number of threads. `cargo xtask bench llm`
//! sets llama.cpp up, builds everything and calls this.
//!
//!     cargo bench -p airunner-tests --bench llm -- --package DIR --python FILE --bare-loop FILE \
//!         --models DIR [--rounds N] [--quick] [--part NAME]...
//!
//! PYTHON has what requirements.txt beside this names; MODELS keeps the models for llama.cpp. The
//! package must be one of make_package.py, so that a character is a token on either side. Prints
//! tables in Markdown; nothing here passes or fails, a person compares with the bars.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod arrivals;
mod long_context;
mod memory;
mod onnxruntime;
mod ours;
mod peer;
mod reuse;
mod schema;
mod server;
mod speed;

use std::path::{Path, PathBuf};

use airunner_tests::bench::{Figure, describe};
use anyhow::Context;

use crate::ours::Ours;
use crate::peer::Models;

/// What can be measured alone.
const PARTS: [&str; 6] = ["speed", "arrivals", "reuse", "context", "schema", "memory"];

/// What every measurement needs.
pub(crate) struct Bench {
    pub(crate) package: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) bare_loop: PathBuf,
    pub(crate) models: Models,
    pub(crate) threads: usize,
    pub(crate) rounds: usize,
    /// Only to see that everything works.
    pub(crate) quick: bool,
}

struct Arguments {
    package: PathBuf,
    python: PathBuf,
    bare_loop: PathBuf,
    models: PathBuf,
    rounds: usize,
    quick: bool,
    parts: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = arguments()?;
    let models = peer::make_models(&arguments.python, &arguments.package, &arguments.models)?;
    let bench = Bench {
        package: arguments.package,
        python: arguments.python,
        bare_loop: arguments.bare_loop,
        models,
        threads: std::thread::available_parallelism()?.get(),
        rounds: if arguments.quick { 1 } else { arguments.rounds },
        quick: arguments.quick,
    };
    let wanted = |part: &str| arguments.parts.is_empty() || arguments.parts.iter().any(|only| only == part);
    println!("{}\n", describe());
    println!(
        "{}, {} threads, medians of {} interleaved rounds.\n",
        bench.models.shape, bench.threads, bench.rounds
    );
    println!("| what | bar | measured |\n|---|---|---|");
    if ["speed", "arrivals", "reuse", "context", "schema"]
        .into_iter()
        .any(wanted)
    {
        let ours = Ours::start(&bench.package, &[]).await?;
        ours.settle().await?;
        if wanted("speed") {
            show("speed", speed::measure(&bench, &ours).await?);
        }
        if wanted("arrivals") {
            show("arrivals", arrivals::measure(&bench, &ours).await?);
        }
        if wanted("reuse") {
            show("reuse", reuse::measure(&bench, &ours).await?);
        }
        if wanted("context") {
            show("context", long_context::measure(&bench, &ours).await?);
        }
        if wanted("schema") {
            show("schema", schema::measure(&bench, &ours).await?);
        }
        ours.stop().await;
    }
    if wanted("memory") {
        show("memory", memory::measure(&bench).await?);
    }
    Ok(())
}

fn show(what: &str, figures: Vec<Figure>) {
    eprintln!("measured: {what}");
    for figure in figures {
        println!("{figure}");
    }
}

fn arguments() -> anyhow::Result<Arguments> {
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut package, mut python, mut bare_loop, mut models) = (None, None, None, None);
    let (mut rounds, mut quick, mut parts) = (5, false, Vec::new());
    while let Some(option) = given.next() {
        if option == "--quick" {
            quick = true;
            continue;
        }
        let value = given.next().with_context(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--package" => package = Some(value),
            "--python" => python = Some(value),
            "--bare-loop" => bare_loop = Some(value),
            "--models" => models = Some(value),
            "--rounds" => rounds = value.parse()?,
            "--part" if PARTS.contains(&value.as_str()) => parts.push(value),
            "--part" => anyhow::bail!("no part is called {value}: there are {}", PARTS.join(", ")),
            _ => anyhow::bail!("unknown option {option}"),
        }
    }
    Ok(Arguments {
        package: absolute(package, "--package")?,
        python: absolute(python, "--python")?,
        bare_loop: absolute(bare_loop, "--bare-loop")?,
        models: absolute(models, "--models")?,
        rounds,
        quick,
        parts,
    })
}

fn absolute(value: Option<String>, option: &str) -> anyhow::Result<PathBuf> {
    let value = value.with_context(|| format!("{option} is missing"))?;
    Ok(std::path::absolute(Path::new(&value))?)
}
