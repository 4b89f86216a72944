//! Pieces of an answer as they arrive.

use std::time::Instant;

use airunner_core::ModelName;
use airunner_core::generate::{GenerateEvent, GenerateRequest, Input, Sampling};
use airunner_ipc_client::{Client, Endpoint};
use airunner_tests::bench::median;
use anyhow::{Context, ensure};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::Bench;

const TOKENS: u32 = 96;
const PROMPT: &str = "How do I";

type Figure = (&'static str, &'static str, String);

/// When an answer began and its pieces came.
struct Timed {
    begin: Instant,
    pieces: Vec<Instant>,
}

impl Timed {
    fn first_ms(&self) -> f64 {
        self.pieces
            .first()
            .map_or(f64::NAN, |first| (*first - self.begin).as_secs_f64() * 1e3)
    }

    /// Pieces per second after the first.
    fn speed(&self) -> f64 {
        match self.pieces.as_slice() {
            [first, .., last] => (self.pieces.len() - 1) as f64 / (*last - *first).as_secs_f64(),
            _ => f64::NAN,
        }
    }
}

/// The same prompt over both, by turns.
pub(crate) async fn against_grpc(bench: &Bench) -> anyhow::Result<Figure> {
    let status = bench.daemon.home.cli().json(&["status"]).await;
    let socket = status["socket"].as_str().context("status names the socket")?;
    let client = Client::connect(&Endpoint::at(socket.into())).await?;
    let body = json!({"model": bench.model, "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0, "stream": true});
    over_http(bench, &body).await?;
    over_grpc(&client, &bench.model).await?;
    let (mut speeds, mut delays, mut seen) = (Vec::new(), Vec::new(), (Vec::new(), Vec::new()));
    for _ in 0..bench.rounds * 4 {
        let http = over_http(bench, &body).await?;
        let grpc = over_grpc(&client, &bench.model).await?;
        speeds.push(http.speed() / grpc.speed());
        delays.push(http.first_ms() - grpc.first_ms());
        seen.0.push(http.speed());
        seen.1.push(grpc.speed());
    }
    Ok((
        "streaming over HTTP (OpenAI) against gRPC, the same model",
        "at least 0.98 of the speed, first token at most 2 ms later",
        format!(
            "{:.3} ({:.0} against {:.0} tokens/s), {:+.2} ms",
            median(speeds),
            median(seen.0),
            median(seen.1),
            median(delays)
        ),
    ))
}

/// Numbers, held to a schema that wants many of them, against text.
pub(crate) async fn constrained(bench: &Bench) -> anyhow::Result<Figure> {
    let chat = |extra: Value| {
        let mut body = json!({
            "model": bench.model,
            "messages": [{"role": "user", "content": PROMPT}],
            "max_tokens": TOKENS,
            "temperature": 0,
            "stream": true,
        });
        if let (Some(body), Value::Object(extra)) = (body.as_object_mut(), extra) {
            body.extend(extra);
        }
        body
    };
    let schema = json!({"type": "object", "required": ["words"], "additionalProperties": false, "properties": {
        "words": {"type": "array", "minItems": 200, "items": {"type": "string"}},
    }});
    let held = chat(json!({"response_format": {
        "type": "json_schema", "json_schema": {"name": "words", "strict": true, "schema": schema},
    }}));
    let free = chat(json!({}));
    over_http(bench, &held).await?;
    let (mut ratios, mut seen) = (Vec::new(), (Vec::new(), Vec::new()));
    for _ in 0..bench.rounds * 4 {
        let free = over_http(bench, &free).await?.speed();
        let held = over_http(bench, &held).await?.speed();
        ratios.push(held / free);
        seen.0.push(held);
        seen.1.push(free);
    }
    Ok((
        "decode held to a JSON schema, against free decode",
        "at least 0.9",
        format!(
            "{:.3} ({:.0} against {:.0} pieces/s)",
            median(ratios),
            median(seen.0),
            median(seen.1)
        ),
    ))
}

async fn over_http(bench: &Bench, body: &Value) -> anyhow::Result<Timed> {
    let path = if body.get("messages").is_some() {
        "/v1/chat/completions"
    } else {
        "/v1/completions"
    };
    let begin = Instant::now();
    let request = bench.http.request("POST", path);
    let response = request
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await?;
    ensure!(response.status().is_success(), "status {}", response.status());
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut stream = response.bytes_stream();
    while let Some(bytes) = stream.next().await {
        let now = Instant::now();
        text.push_str(std::str::from_utf8(&bytes?)?);
        // Several events may come at once, and one in two parts.
        while let Some((event, rest)) = text.split_once("\n\n") {
            if has_text(event) {
                pieces.push(now);
            }
            text = rest.to_owned();
        }
    }
    ensure!(pieces.len() > 8, "only {} pieces", pieces.len());
    Ok(Timed { begin, pieces })
}

fn has_text(event: &str) -> bool {
    let data = event.strip_prefix("data: ").unwrap_or_default();
    let Ok(value) = serde_json::from_str::<Value>(data) else {
        return false;
    };
    let choice = &value["choices"][0];
    [&choice["text"], &choice["delta"]["content"]]
        .into_iter()
        .any(|text| text.as_str().is_some_and(|text| !text.is_empty()))
}

async fn over_grpc(client: &Client, model: &str) -> anyhow::Result<Timed> {
    let mut request = GenerateRequest::new(ModelName::new(model)?, Input::Raw(PROMPT.to_owned()));
    request.sampling = Sampling {
        temperature: Some(0.0),
        ..Sampling::default()
    };
    request.max_tokens = Some(TOKENS);
    let begin = Instant::now();
    let mut events = client.llm().generate(request).await?;
    let mut pieces = Vec::new();
    while let Some(event) = events.next().await {
        if let GenerateEvent::Text(_) = event? {
            pieces.push(Instant::now());
        }
    }
    ensure!(pieces.len() > 8, "only {} pieces", pieces.len());
    Ok(Timed { begin, pieces })
}
