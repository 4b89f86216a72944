//! llama.cpp in a process of its own, one order per line.

use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Stdio};

use airunner_tests::repository;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Bench;

/// Tokens a stream of the peer has room for where only the beginning is measured.
const ROOM: usize = 256;

/// Models for llama.cpp of the package's shape.
pub(crate) struct Models {
    pub(crate) shape: String,
    pub(crate) q4_0: PathBuf,
    pub(crate) q4_k_m: PathBuf,
    /// Weights that one token reads on our side, bytes.
    pub(crate) weight_bytes: f64,
}

/// Makes them unless they are there.
pub(crate) fn make_models(python: &Path, package: &Path, out: &Path) -> anyhow::Result<Models> {
    let mut command = Blocking::new(python);
    command.arg(script("make_gguf.py")).arg(package).arg(out);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("{} does not start", python.display()))?;
    ensure!(
        output.status.success(),
        "make_gguf.py ended with {}",
        output.status
    );
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let shape = &said["shape"];
    Ok(Models {
        shape: format!(
            "Shape: {}, {} layers of {}, {} tokens of vocabulary; weights of one token {:.0} MB (Q4_0 {:.0}, Q4_K_M {:.0})",
            shape["family"].as_str().context("a family")?,
            shape["layers"],
            shape["hidden"],
            shape["vocabulary"],
            megabytes(&said["weight_bytes"]),
            megabytes(&said["q4_0_weight_bytes"]),
            megabytes(&said["q4_k_m_weight_bytes"]),
        ),
        q4_0: out.join("q4_0.gguf"),
        q4_k_m: out.join("q4_k_m.gguf"),
        weight_bytes: said["weight_bytes"].as_f64().context("bytes of weights")?,
    })
}

fn megabytes(bytes: &Value) -> f64 {
    bytes.as_f64().unwrap_or(f64::NAN) / 1e6
}

fn script(name: &str) -> PathBuf {
    repository().join("tests/benches/llm").join(name)
}

/// A running peer with one model.
pub(crate) struct Peer {
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Peer {
    /// The process is there when this returns; the model is loaded by the first order to compute.
    pub(crate) async fn start(bench: &Bench, model: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(&bench.python)
            .arg(script("peer.py"))
            .arg(model)
            .arg(bench.threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the peer does not start")?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut peer = Self {
            stdin,
            lines: BufReader::new(stdout).lines(),
            child,
        };
        peer.ask(json!({"do": "nothing"})).await?;
        Ok(peer)
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the peer has ended")
    }

    /// Tokens per second of reading a prompt.
    pub(crate) async fn prompt(&mut self, tokens: usize) -> anyhow::Result<f64> {
        self.speed(json!({"do": "prompt", "tokens": tokens})).await
    }

    /// Tokens per second of all streams.
    pub(crate) async fn decode(&mut self, streams: usize, prompt: usize, tokens: u32) -> anyhow::Result<f64> {
        self.decode_within(streams, prompt, tokens, ROOM).await
    }

    pub(crate) async fn decode_within(
        &mut self,
        streams: usize,
        prompt: usize,
        tokens: u32,
        context: usize,
    ) -> anyhow::Result<f64> {
        let order = json!({
            "do": "decode", "streams": streams, "prompt": prompt, "tokens": tokens, "context": context,
        });
        self.speed(order).await
    }

    async fn speed(&mut self, order: Value) -> anyhow::Result<f64> {
        let answer = self.ask(order).await?;
        let number = |name: &str| answer[name].as_f64().context("a figure is missing");
        Ok(number("tokens")? / number("seconds")?)
    }

    async fn ask(&mut self, order: Value) -> anyhow::Result<Value> {
        self.stdin.write_all(format!("{order}\n").as_bytes()).await?;
        let line = self.lines.next_line().await?.context("the peer ended")?;
        Ok(serde_json::from_str(&line)?)
    }
}
