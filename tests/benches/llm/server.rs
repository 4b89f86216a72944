//! `llama_cpp.server`, as a user starts it.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::Bench;
use crate::arrivals::Answered;

/// Time to load its model.
const PATIENCE: Duration = Duration::from_secs(120);
/// Tokens of its context, more than any request has.
const CONTEXT: &str = "1024";

pub(crate) struct Server {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Server {
    pub(crate) async fn start(bench: &Bench) -> anyhow::Result<Self> {
        // Free a moment ago, which is what its own documentation leaves a user with.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let threads = bench.threads.to_string();
        let child = Command::new(&bench.python)
            .args(["-m", "llama_cpp.server", "--host", "127.0.0.1", "--port", &port])
            .args([
                "--n_threads",
                &threads,
                "--n_threads_batch",
                &threads,
                "--n_ctx",
                CONTEXT,
            ])
            // A new request would end the stream of the last one.
            .args(["--interrupt_requests", "False", "--verbose", "False", "--model"])
            .arg(&bench.models.q4_0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("llama_cpp.server does not start")?;
        let mut server = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            http: airunner_tests::http::client(),
        };
        server.until_ready().await?;
        Ok(server)
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let models = format!("{}/v1/models", self.url);
        while self.http.get(&models).send().await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("llama_cpp.server ended at once: {status}");
            }
            ensure!(begin.elapsed() < PATIENCE, "llama_cpp.server does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    pub(crate) async fn ask(&self, prompt: String, tokens: u32) -> anyhow::Result<Answered> {
        let begin = Instant::now();
        let body = json!({"prompt": prompt, "max_tokens": tokens, "temperature": 1.0, "stream": true});
        let request = self.http.post(format!("{}/v1/completions", self.url));
        let request = request.header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await?;
        ensure!(response.status().is_success(), "status {}", response.status());
        let (mut first, mut text) = (None, Vec::new());
        let mut stream = response.bytes_stream();
        while let Some(bytes) = stream.next().await {
            text.extend_from_slice(&bytes?);
            if first.is_none() && has_text(&String::from_utf8_lossy(&text)) {
                first = Some(begin.elapsed());
            }
        }
        Ok(Answered {
            begin,
            first: first.context("an answer of llama_cpp.server has no text")?,
            end: Instant::now(),
            tokens,
        })
    }
}

fn has_text(events: &str) -> bool {
    let data = events.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .any(|event| {
            event["choices"][0]["text"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        })
}
