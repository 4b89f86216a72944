//! What models take, against what is foreseen: estimates, lives of the same model, packed copies,
//! and memory given back. True worker processes, without a daemon around them.
//!
//!     cargo bench -p airunner-tests --bench memory -- --package DIR [--package DIR ...]
//!         [--contexts 256,1024,2048] [--copies CACHE] [--rounds 7] [--only estimates|back|copies]
//!
//! Prints tables in Markdown; nothing here passes or fails, a person compares with the bars.
//! CACHE is a directory for packed copies, which take twice the weights; without it none are made.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod copies;
mod estimates;
mod given_back;
mod life;

use std::path::PathBuf;

use anyhow::Context;

const MIB: f64 = 1024.0 * 1024.0;

/// In mebibytes.
#[expect(clippy::cast_precision_loss, reason = "figures for a person")]
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut packages = Vec::new();
    let mut contexts: Vec<u32> = vec![256, 1024, 2048];
    let (mut cache, mut rounds, mut only) = (None, 7, None);
    while let Some(option) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--package" => packages.push(std::path::absolute(value)?),
            "--contexts" => contexts = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--copies" => cache = Some(std::path::absolute(PathBuf::from(value))?),
            "--rounds" => rounds = value.parse()?,
            "--only" => only = Some(value),
            _ => anyhow::bail!("unknown option {option}"),
        }
    }
    anyhow::ensure!(!packages.is_empty(), "--package DIR is missing");
    anyhow::ensure!(rounds > 0, "--rounds 0 measures nothing");
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let workplace = life::Workplace::new()?;
    if wanted("estimates") {
        estimates::measure(&workplace, &packages, &contexts).await?;
    }
    if wanted("back") {
        given_back::measure(&workplace, &packages, rounds).await?;
    }
    if let Some(cache) = cache.filter(|_| wanted("copies")) {
        copies::measure(&workplace, &packages, &cache, rounds).await?;
    }
    Ok(())
}
