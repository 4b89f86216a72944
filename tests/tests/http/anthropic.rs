//! Anthropic's API, as its clients call it.

use airunner_tests::http::Reply;
use airunner_tests::{Daemon, FakeModel};
use serde_json::{Value, json};

fn ask(model: &str) -> Value {
    json!({"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]})
}

fn with(mut body: Value, key: &str, value: impl Into<Value>) -> Value {
    body[key] = value.into();
    body
}

fn tools() -> FakeModel {
    FakeModel::new("tools")
        .speaks(&["I look."])
        .with("reasoning", vec!["Hm."])
        .with("argument_pieces", 3)
        .with("tool_calls", json!([{"name": "f", "arguments": {"x": 1}}]))
}

#[tokio::test]
async fn an_answer_is_a_message_or_events_in_order() {
    let daemon = Daemon::with_models(&[tools()]).await;
    let http = daemon.http().await;
    let body = with(
        ask("tools"),
        "thinking",
        json!({"type": "enabled", "budget_tokens": 1024}),
    );
    let whole = http.post("/v1/messages?beta=true", &body).await.ok();
    assert_eq!(
        (&whole["type"], &whole["stop_reason"]),
        (&json!("message"), &json!("tool_use"))
    );
    let types: Vec<&Value> = whole["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| &block["type"])
        .collect();
    assert_eq!(types, ["thinking", "text", "tool_use"]);
    assert_eq!(whole["content"][2]["input"], json!({"x": 1}));
    assert_eq!(whole["usage"]["input_tokens"], 1);

    let reply = http.post("/v1/messages", &with(body, "stream", true)).await;
    let names: Vec<&str> = reply
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(names.first(), Some(&"message_start"));
    assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"]);
    let events: Vec<Value> = reply
        .events()
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let arguments: String = events
        .iter()
        .filter_map(|event| event.pointer("/delta/partial_json")?.as_str())
        .collect();
    assert_eq!(arguments, "{\"x\":1}");
    let starts = events
        .iter()
        .filter(|event| event["type"] == "content_block_start");
    assert_eq!(starts.count(), 3);

    let quiet = http.post("/v1/messages", &ask("tools")).await.ok();
    assert_eq!(quiet["content"][0]["type"], "text", "nobody asked for thoughts");
    daemon.stop().await;
}

#[tokio::test]
async fn stops_choices_schemas_and_counts_are_honoured() {
    let daemon = Daemon::with_models(&[FakeModel::new("echo")]).await;
    let http = daemon.http().await;
    let talk = json!([{"role": "user", "content": "one two three"}]);
    let body = with(
        with(ask("echo"), "messages", talk),
        "stop_sequences",
        json!(["three"]),
    );
    let stopped = http.post("/v1/messages", &body).await.ok();
    assert_eq!(
        (&stopped["stop_reason"], &stopped["stop_sequence"]),
        (&json!("stop_sequence"), &json!("three"))
    );
    let short = http
        .post("/v1/messages", &with(body.clone(), "max_tokens", 1))
        .await
        .ok();
    assert_eq!(short["stop_reason"], "max_tokens");

    let schema = json!({"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}});
    let body = with(
        ask("echo"),
        "output_config",
        json!({"format": {"type": "json_schema", "schema": schema}}),
    );
    assert_eq!(
        http.post("/v1/messages", &body).await.ok()["content"][0]["text"],
        "{\"x\":0}"
    );
    let body = with(
        ask("echo"),
        "tools",
        json!([{"name": "f", "input_schema": schema}]),
    );
    let called = http
        .post(
            "/v1/messages",
            &with(body.clone(), "tool_choice", json!({"type": "any"})),
        )
        .await
        .ok();
    assert_eq!(called["content"][0]["input"], json!({"x": 0}));

    let count = http.post("/v1/messages/count_tokens", &body).await.ok();
    assert!(count["input_tokens"].as_u64().unwrap() > 0);
    daemon.stop().await;
}

#[tokio::test]
async fn models_are_listed_in_anthropics_form_for_its_clients() {
    let daemon = Daemon::with_models(&[FakeModel::new("a"), FakeModel::new("b")]).await;
    let http = daemon.http().await;
    let get = async |path: &str| {
        Reply::of(
            http.request("GET", path)
                .header("anthropic-version", "2023-06-01"),
        )
        .await
    };
    let page = get("/v1/models?limit=1").await.ok();
    assert_eq!(
        (&page["data"][0]["id"], &page["has_more"]),
        (&json!("a"), &json!(true))
    );
    let next = get("/v1/models?after_id=a&limit=1").await.ok();
    assert_eq!(
        (&next["first_id"], &next["data"][0]["type"]),
        (&json!("b"), &json!("model"))
    );
    assert_eq!(get("/v1/models/b").await.ok()["display_name"], "b");
    assert_eq!(
        get("/v1/models/c").await.json()["error"]["type"],
        "not_found_error"
    );
    assert_eq!(http.get("/v1/models").await.ok()["object"], "list");
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_in_anthropics_form() {
    let daemon = Daemon::with_models(&[tools(), FakeModel::new("broken").with("nan", true)]).await;
    let http = daemon.http().await;
    let user = |content: Value| {
        with(
            ask("tools"),
            "messages",
            json!([{"role": "user", "content": content}]),
        )
    };
    for (body, status, kind) in [
        (ask("nobody"), 404, "not_found_error"),
        (
            json!({"model": "tools", "messages": []}),
            400,
            "invalid_request_error",
        ),
        (with(ask("tools"), "max_tokens", 0), 400, "invalid_request_error"),
        (with(ask("tools"), "max_tokens", -1), 400, "invalid_request_error"),
        (
            with(ask("tools"), "messages", json!([])),
            400,
            "invalid_request_error",
        ),
        (
            with(ask("tools"), "temperature", 99),
            400,
            "invalid_request_error",
        ),
        (
            with(ask("tools"), "tool_choice", json!({"type": "any"})),
            400,
            "invalid_request_error",
        ),
        (
            user(json!([{"type": "image", "source": {}}])),
            400,
            "invalid_request_error",
        ),
        (user(json!(5)), 400, "invalid_request_error"),
        (json!("text"), 400, "invalid_request_error"),
        (ask("broken"), 500, "api_error"),
    ] {
        let reply = http.post("/v1/messages", &body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text);
        assert_eq!(reply.json()["error"]["type"], kind, "{body}");
        assert_eq!(reply.json()["type"], "error");
    }
    let reply = http
        .post("/v1/messages", &with(ask("broken"), "stream", true))
        .await;
    assert!(reply.text.contains("event: error"), "{}", reply.text);
    daemon.stop().await;
}
