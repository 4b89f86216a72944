//! The bare loop as a long-lived process, one round per line.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::onnxruntime_library;

/// Tokens per second of one round.
#[derive(Clone, Copy)]
pub struct Speed {
    pub prompt: f64,
    pub decode: f64,
}

pub struct BareLoop {
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl BareLoop {
    pub fn start(program: &Path, package: &Path) -> anyhow::Result<Self> {
        let threads = std::thread::available_parallelism()?.to_string();
        let mut child = Command::new(program)
            .arg(onnxruntime_library())
            .arg(package)
            .arg(threads)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        Ok(Self {
            stdin,
            lines: BufReader::new(stdout).lines(),
            _child: child,
        })
    }

    pub async fn round(&mut self, prompt: usize, decode: usize, batch: usize) -> anyhow::Result<Speed> {
        let order = format!("prompt={prompt} decode={decode} batch={batch}\n");
        self.stdin.write_all(order.as_bytes()).await?;
        let line = self.lines.next_line().await?.context("the bare loop ended")?;
        let figures: Value = serde_json::from_str(&line)?;
        let number = |name: &str| figures[name].as_f64().context("a figure is missing");
        Ok(Speed {
            prompt: number("prompt_tokens_per_second")?,
            decode: number("tokens_per_second")?,
        })
    }
}
