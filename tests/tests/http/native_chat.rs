//! Answers in our own language.

use airunner_tests::{Daemon, FakeModel, Home, eventually};
use serde_json::{Value, json};

fn hello() -> Value {
    json!([{"role": "user", "content": "Hello"}])
}

/// Name and data of each event of a stream.
fn told(text: &str) -> Vec<(String, Value)> {
    let field = |event: &str, name: &str| {
        event
            .lines()
            .find_map(|line| line.strip_prefix(name).map(str::to_owned))
    };
    text.split("\n\n")
        .filter_map(|event| Some((field(event, "event: ")?, field(event, "data: ")?)))
        .map(|(name, data)| (name, serde_json::from_str(&data).unwrap()))
        .collect()
}

#[tokio::test]
async fn a_conversation_is_answered_at_once_and_piece_by_piece() {
    let call = json!([{"name": "weather", "arguments": {"city": "Nürnberg"}}]);
    let daemon = Daemon::with_models(&[
        FakeModel::new("tiny")
            .speaks(&["Good", " day"])
            .with("reasoning", vec!["hm"]),
        FakeModel::new("team/caller")
            .with("tool_calls", call)
            .with("argument_pieces", 3),
    ])
    .await;
    let http = daemon.http().await;
    let body = json!({"model": "tiny", "messages": hello(), "temperature": 0});
    let whole = http.post("/api/v1/llm/chat", &body).await.ok();
    assert_eq!(whole["content"], "Good day");
    assert_eq!(whole["reasoning"], "hm");
    assert_eq!(
        (&whole["model"], &whole["finish_reason"]),
        (&json!("tiny"), &json!("stop"))
    );
    assert!(whole["usage"]["completion_tokens"].as_u64().unwrap() > 0);

    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let reply = http.post("/api/v1/llm/chat", &streamed).await;
    assert_eq!(reply.headers["content-type"], "text/event-stream");
    let told = told(&reply.text);
    assert_eq!(
        (told[0].0.as_str(), &told[0].1["model"]),
        ("start", &json!("tiny"))
    );
    assert_eq!(told.last().unwrap().0, "done");
    assert!(told.iter().all(|(name, data)| data["type"] == *name));
    let text: String = told
        .iter()
        .filter(|(name, _)| name == "chunk")
        .map(|(_, data)| data["content"].as_str().unwrap())
        .collect();
    assert_eq!(text, "Good day");

    let calls = json!({"model": "team/caller", "messages": hello(), "tools": [{"name": "weather"}]});
    let called = http.post("/api/v1/llm/chat", &calls).await.ok();
    assert_eq!(called["tool_calls"][0]["arguments"]["city"], "Nürnberg");
    assert_eq!(called["finish_reason"], "tool_calls");

    let body = json!({"model": "tiny", "prompt": "Once"});
    assert_eq!(
        http.post("/api/v1/llm/completion", &body).await.ok()["text"],
        "Good day"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn without_a_name_the_model_answers_that_is_loaded() {
    let daemon = Daemon::with_models(&[FakeModel::new("one"), FakeModel::new("two")]).await;
    let http = daemon.http().await;
    let load = http.post("/api/v1/llm/load", &json!({"model": "two"})).await.ok();
    assert_eq!(
        (&load["status"], &load["model"]["loaded"]),
        (&json!("success"), &json!(true))
    );
    let reply = http
        .post("/api/v1/llm/chat", &json!({"messages": hello()}))
        .await
        .ok();
    assert_eq!(reply["model"], "two");
    let models = http.get("/api/v1/llm/models").await.ok();
    assert_eq!(models["default"], "two");
    let gone = http.post("/api/v1/llm/unload", &json!({})).await.ok();
    assert_eq!(
        (&gone["model"], &gone["was_loaded"]),
        (&json!("two"), &json!(true))
    );
    let told = told(
        &http
            .post("/api/v1/llm/load", &json!({"model": "one", "stream": true}))
            .await
            .text,
    );
    assert_eq!(told.last().unwrap().0, "done");
    daemon.stop().await;
}

#[tokio::test]
async fn requests_at_once_do_not_mix_and_one_who_leaves_frees_the_model() {
    let slow = FakeModel::new("slow")
        .speaks(&["x"])
        .with("repeat", true)
        .token_every_ms(20);
    let models: Vec<FakeModel> = (0..3)
        .map(|number| {
            let word = format!("word{number} ");
            FakeModel::new(&format!("m{number}"))
                .speaks(&[word.as_str(); 20])
                .token_every_ms(2)
        })
        .chain([slow])
        .collect();
    let daemon = Daemon::with_models(&models).await;
    let http = daemon.http().await;
    let asked = (0..12).map(|number| {
        let http = http.clone();
        tokio::spawn(async move {
            let body = json!({"model": format!("m{}", number % 3), "messages": hello()});
            (number % 3, http.post("/api/v1/llm/chat", &body).await.ok())
        })
    });
    for asked in asked.collect::<Vec<_>>() {
        let (number, reply) = asked.await.unwrap();
        assert_eq!(reply["content"], format!("word{number} ").repeat(20));
    }
    let body = json!({"model": "slow", "messages": hello(), "stream": true}).to_string();
    let mut response = http
        .request("POST", "/api/v1/llm/chat")
        .body(body)
        .send()
        .await
        .unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    daemon.until_state("slow", Some("LOADED")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn bad_requests_get_their_status_and_name_the_field() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_BODY_LIMIT", "64KiB");
    let daemon = Daemon::start_in(home).await;
    daemon.install(&FakeModel::new("tiny")).await;
    let http = daemon.http().await;
    let nested = "[".repeat(60_000);
    let large = format!(r#"{{"messages": "{}"}}"#, "x".repeat(70_000));
    let message = r#"[{"role": "user", "content": "Hi"}]"#;
    let chat = |fields: &str| format!(r#"{{"model": "tiny", "messages": {message}{fields}}}"#);
    for (body, status, reason) in [
        (String::new(), 400, "invalid_argument"),
        ("{".to_owned(), 400, "invalid_argument"),
        ("null".to_owned(), 400, "invalid_argument"),
        (nested, 400, "invalid_argument"),
        (large, 413, "invalid_argument"),
        (chat(r#", "temprature": 1"#), 400, "invalid_argument"),
        (chat(r#", "temperature": "hot""#), 400, "invalid_argument"),
        (chat(r#", "temperature": 1e999"#), 400, "invalid_argument"),
        (chat(r#", "temperature": -1"#), 400, "invalid_argument"),
        (chat(r#", "max_tokens": 0"#), 400, "invalid_argument"),
        (chat(r#", "max_tokens": 99999999999"#), 400, "invalid_argument"),
        (chat(r#", "keep_alive": "soon""#), 400, "invalid_argument"),
        (
            chat(r#", "tool_choice": {"function": "none"}"#),
            400,
            "invalid_argument",
        ),
        (chat(r#", "conversation_id": "conv_none""#), 404, "not_found"),
        (
            r#"{"model": "tiny", "messages": []}"#.to_owned(),
            400,
            "invalid_argument",
        ),
        (
            r#"{"model": "none", "messages": [{"role": "user"}]}"#.to_owned(),
            404,
            "model_not_found",
        ),
        (
            r#"{"model": "../x", "messages": [{"role": "user"}]}"#.to_owned(),
            404,
            "model_not_found",
        ),
    ] {
        let reply =
            airunner_tests::Reply::of(http.request("POST", "/api/v1/llm/chat").body(body.clone())).await;
        let shown: String = body.chars().take(90).collect();
        assert_eq!(reply.status, status, "{shown}: {}", reply.text);
        assert_eq!(reply.json()["error"]["reason"], reason, "{shown}");
    }
    let invalid = http
        .request("POST", "/api/v1/llm/chat")
        .body(b"{\"model\": \"\xff\"}".to_vec());
    assert_eq!(airunner_tests::Reply::of(invalid).await.status, 400);
    let reply = http
        .post("/api/v1/llm/chat", &json!({"messages": hello(), "temprature": 1}))
        .await;
    assert!(reply.text.contains("temprature"), "{}", reply.text);
    assert_eq!(http.get("/api/v1/llm/chat").await.status, 405);
    assert_eq!(http.get("/api/v1/nothing").await.status, 404);
    eventually("nothing runs", async || daemon.ps("tiny").await.is_none()).await;
    daemon.stop().await;
}
