//! What a collector of traces is told, and that nobody else is told anything.

use airunner_tests::http::Reply;
use airunner_tests::{Collector, Daemon, FakeModel, Home};
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

async fn traced(collector: &Collector) -> Daemon {
    let mut home = Home::new();
    home.set("AIRUNNER_TELEMETRY_OTLP_ENDPOINT", collector.url());
    let daemon = Daemon::start_in(home).await;
    daemon
        .install(&FakeModel::new("tiny").speaks(&["secret ", "reply"]))
        .await;
    daemon
}

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "secret prompt"}]})
}

#[tokio::test]
async fn a_collector_is_told_of_a_request_and_its_answer_in_the_trace_of_the_caller() {
    let collector = Collector::start().await;
    let daemon = traced(&collector).await;
    let http = daemon.http().await;
    let request = http
        .request("POST", "/v1/chat/completions?hidden=query")
        .header("x-request-id", "my-own.name")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .body(chat("tiny").to_string());
    assert_eq!(Reply::of(request).await.status, 200);
    let asked = collector.hear("POST /v1/chat/completions").await;
    assert_eq!(
        (&*asked.trace, &*asked.parent, asked.failed),
        (TRACE, PARENT, false)
    );
    for (name, value) in [
        ("http.request.method", json!("POST")),
        ("http.route", json!("/v1/chat/completions")),
        ("http.response.status_code", json!(200)),
        ("airunner.family", json!("openai")),
        ("airunner.request_id", json!("my-own.name")),
    ] {
        assert_eq!(asked.attributes[name], value, "{name}");
    }
    let answered = collector.hear("generate tiny").await;
    assert_eq!((&*answered.trace, &answered.parent), (TRACE, &asked.span));
    for (name, value) in [
        ("gen_ai.request.model", json!("tiny")),
        ("gen_ai.usage.output_tokens", json!(2)),
        ("gen_ai.response.finish_reasons", json!(["stop"])),
    ] {
        assert_eq!(answered.attributes[name], value, "{name}");
    }
    assert!(answered.attributes["gen_ai.usage.input_tokens"].as_u64().unwrap() > 0);
    for name in ["queue", "load", "prompt", "first_token", "decode"] {
        let seconds = &answered.attributes[&format!("airunner.time.{name}")];
        assert!(
            seconds.as_f64().is_some_and(|seconds| seconds >= 0.0),
            "{name}: {seconds}"
        );
    }
    assert!(answered.attributes["airunner.time.load"].as_f64().unwrap() > 0.0);
    assert!(asked.nanoseconds >= answered.nanoseconds && answered.nanoseconds > 0);
    assert_eq!(asked.service["service.name"], "airunner");
    daemon.stop().await;
    // Also what was told last, when the daemon ended.
    let all = format!("{:?}", collector.told());
    for private in ["secret", "hidden", &http.token] {
        assert!(!all.contains(private), "{private} was told: {all}");
    }
}

#[tokio::test]
async fn sockets_and_failures_are_told_as_well() {
    let collector = Collector::start().await;
    let daemon = traced(&collector).await;
    daemon
        .install(&FakeModel::new("fragile").speaks(&["a", "b"]).crashes_after(1))
        .await;
    let http = daemon.http().await;
    assert_eq!(
        http.post("/v1/chat/completions", &chat("fragile")).await.status,
        503
    );
    let failed = collector.hear("generate fragile").await;
    assert!(failed.failed);
    assert_eq!(failed.attributes["error.type"], "worker_crashed");
    let asked = collector.hear("POST /v1/chat/completions").await;
    assert_eq!((&failed.parent, asked.failed), (&asked.span, true));

    let mut socket = http.socket("/api/v1/llm/stream").await;
    socket
        .say(&json!({"type": "chat", "id": "1", "model": "tiny", "message": "Hi"}))
        .await;
    socket.until("done").await;
    drop(socket);
    let opened = collector.hear("GET /api/v1/llm/stream").await;
    let answered = collector.hear("generate tiny").await;
    assert_eq!((&answered.trace, &answered.parent), (&opened.trace, &opened.span));
    // A request that its caller keeps out of traces is kept out.
    let request = http
        .request("GET", "/v1/models")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-00"));
    assert_eq!(Reply::of(request).await.status, 200);
    assert_eq!(http.get("/api/tags").await.status, 200);
    collector.hear("GET /api/tags").await;
    assert!(!collector.told().iter().any(|told| told.trace == TRACE));
    daemon.stop().await;
}

#[tokio::test]
async fn it_is_off_unless_it_is_set_and_loud_when_it_is() {
    let daemon = Daemon::start().await;
    assert_eq!(daemon.home.cli().json(&["status"]).await["traces"], Value::Null);
    daemon.stop().await;

    let collector = Collector::start().await;
    let url = collector.url();
    let daemon = traced(&collector).await;
    let shown = daemon.home.cli().run(&["status"]).await.succeeded().stdout;
    assert!(shown.contains(&format!("are sent to {url}/v1/traces")), "{shown}");
    daemon.until_logged("traces of requests are sent").await;
    // A collector that is gone holds nobody up.
    drop(collector);
    let http = daemon.http().await;
    for _ in 0..3 {
        assert_eq!(http.post("/v1/chat/completions", &chat("tiny")).await.status, 200);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_unencrypted_to_another_machine() {
    let mut home = Home::new();
    home.set(
        "AIRUNNER_TELEMETRY_OTLP_ENDPOINT",
        "http://collector.example:4318",
    );
    let output = home.daemon_command().output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("on this machine"), "{said}");
}
