//! An endpoint without a model under load.

use airunner_tests::http::Reply;
use anyhow::{Context, ensure};
use serde_json::json;

use crate::Bench;

const CONNECTIONS: &str = "64";

type Figure = (&'static str, &'static str, String);

pub(crate) async fn idle(bench: &Bench) -> anyhow::Result<Figure> {
    let (rate, p99) = wrk(bench).await?;
    Ok((
        "`/health`, 64 connections, nothing else to do",
        "at least 30,000 requests/s",
        format!("{rate:.0} requests/s, p99 {p99}"),
    ))
}

pub(crate) async fn while_generating(bench: &Bench) -> anyhow::Result<Figure> {
    let (http, model) = (bench.http.clone(), bench.model.clone());
    let generating = tokio::spawn(async move {
        loop {
            let body = json!({"model": model, "prompt": "How do I load", "max_tokens": 400});
            let request = http.request("POST", "/v1/completions").body(body.to_string());
            assert_eq!(Reply::of(request).await.status, 200, "the model answers");
        }
    });
    let measured = wrk(bench).await;
    ensure!(!generating.is_finished(), "the model stopped answering");
    generating.abort();
    let (rate, p99) = measured?;
    Ok((
        "`/health`, 64 connections, while a model generates",
        "at least 10,000 requests/s, p99 at most 20 ms",
        format!("{rate:.0} requests/s, p99 {p99}"),
    ))
}

/// Requests per second, and the time that 99 % of them stay below.
async fn wrk(bench: &Bench) -> anyhow::Result<(f64, String)> {
    let mut command = tokio::process::Command::new("wrk");
    command
        .args([
            "--threads",
            "1",
            "--connections",
            CONNECTIONS,
            "--duration",
            "8s",
            "--latency",
        ])
        .arg(format!("{}/health", bench.http.url));
    let output = command
        .output()
        .await
        .context("wrk is not on the search path: install the package wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && !text.contains("Non-2xx"),
        "wrk failed: {text}"
    );
    let field = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name))?;
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    let rate = field("Requests/sec:").context("wrk prints no rate")?.parse()?;
    Ok((rate, field("99%").context("wrk prints no times")?))
}
