//! Many more requests than there is room for.

use std::time::Duration;

use airunner_tests::http::Reply;
use anyhow::{Context, ensure};
use serde_json::json;

use crate::{Bench, private_memory};

const REQUESTS: usize = 500;
/// Longer than all that are let in need.
const LONGEST: Duration = Duration::from_secs(300);

pub(crate) async fn at_once(bench: &Bench) -> anyhow::Result<(&'static str, &'static str, String)> {
    // The first time costs memory once.
    round(bench).await?;
    let before = private_memory(bench)?;
    let (served, refused) = round(bench).await?;
    let after = private_memory(bench)?;
    Ok((
        "500 requests at once, queue 64",
        "64 and those that run are served, the rest 429 with Retry-After, none hangs, memory flat",
        format!(
            "{served} served, {refused} refused, {:+.1} MiB",
            (after - before) / f64::from(1 << 20)
        ),
    ))
}

async fn round(bench: &Bench) -> anyhow::Result<(usize, usize)> {
    let one = |number: usize| {
        let body = json!({"model": bench.model, "prompt": format!("Number {number}"), "max_tokens": 64});
        let request = bench.http.request("POST", "/v1/completions");
        Reply::of(
            request
                .header("content-type", "application/json")
                .body(body.to_string()),
        )
    };
    let all = futures_util::future::join_all((0..REQUESTS).map(one));
    let replies = tokio::time::timeout(LONGEST, all)
        .await
        .context("some requests hang")?;
    let served = replies.iter().filter(|reply| reply.status == 200).count();
    let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 429).collect();
    ensure!(served + refused.len() == REQUESTS, "some have another status");
    ensure!(
        refused
            .iter()
            .all(|reply| reply.headers.contains_key("retry-after")),
        "some do not say when to come again"
    );
    Ok((served, refused.len()))
}
