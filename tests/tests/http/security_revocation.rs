//! A key that is gone takes with it what was begun with it.

use airunner_tests::{Daemon, FakeModel, Http, Reply};
use reqwest::Response;
use serde_json::{Value, json};

fn endless() -> FakeModel {
    FakeModel::new("endless")
        .speaks(&["word "])
        .with("repeat", true)
        .token_every_ms(20)
}

/// An API with a key of its own.
async fn visitor(daemon: &Daemon, name: &str, expires: Option<&str>) -> Http {
    let mut arguments = vec!["keys", "create", name, "--scope", "inference,models"];
    if let Some(expires) = expires {
        arguments.extend(["--expires", expires]);
    }
    let http = daemon.http().await;
    let created = daemon.home.cli().json(&arguments).await;
    http.with_key(created["key"].as_str().unwrap())
}

async fn revoke(daemon: &Daemon, name: &str) {
    let revoked = daemon.home.cli().json(&["keys", "revoke", name]).await;
    assert_eq!(revoked["state"], "revoked");
}

/// Streams of each family, and what is at the end of each that breaks off.
fn streams() -> [(&'static str, Value, &'static str); 6] {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let chat = json!({"model": "endless", "messages": messages, "stream": true, "max_tokens": 4_000});
    [
        ("/v1/chat/completions", chat.clone(), "/error/code"),
        (
            "/v1/completions",
            json!({"model": "endless", "prompt": "Hi", "stream": true, "max_tokens": 4_000}),
            "/error/code",
        ),
        (
            "/v1/responses",
            json!({"model": "endless", "input": "Hi", "stream": true}),
            "/code",
        ),
        ("/v1/messages", chat.clone(), "/error/type"),
        ("/api/v1/llm/chat", chat, "/error/reason"),
        (
            "/api/chat",
            json!({"model": "endless", "messages": messages, "options": {"num_predict": 4_000}}),
            "/error",
        ),
    ]
}

async fn begun(http: &Http, path: &str, body: &Value) -> Response {
    let request = http.request("POST", path).body(body.to_string());
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    assert!(response.chunk().await.unwrap().is_some(), "{path}");
    response
}

/// The JSON of the last line of an answer that ends.
async fn last(response: Response) -> Value {
    let text = response.text().await.unwrap();
    let line = text.lines().rfind(|line| !line.is_empty()).unwrap();
    let line = line.strip_prefix("data: ").unwrap_or(line);
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[tokio::test]
async fn a_revoked_key_ends_its_streams_and_nobody_elses() {
    let daemon = Daemon::with_models(&[endless()]).await;
    let local = daemon.http().await;
    for (number, (path, body, reason)) in streams().into_iter().enumerate() {
        let name = format!("phone{number}");
        let phone = visitor(&daemon, &name, None).await;
        let response = begun(&phone, path, &body).await;
        let other = begun(&local, path, &body).await;
        revoke(&daemon, &name).await;
        let last = last(response).await;
        let told = last.pointer(reason).unwrap_or_else(|| panic!("{path}: {last}"));
        assert!(told.is_string(), "{path}: {last}");
        let active = daemon.ps("endless").await.unwrap();
        assert_eq!(active["state"], "BUSY", "{path}: {active}");
        drop(other);
        daemon.until_state("endless", Some("LOADED")).await;
        assert_eq!(phone.get("/v1/models").await.status, 401);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_waits_for_its_whole_answer_is_refused_and_the_work_stops() {
    let daemon = Daemon::with_models(&[endless()]).await;
    let phone = visitor(&daemon, "phone", None).await;
    let body = json!({"model": "endless", "messages": [{"role": "user", "content": "Hi"}]});
    let background = json!({"model": "endless", "input": "Hi", "background": true});
    let begun = phone.post("/v1/responses", &background).await.ok();
    assert_eq!(begun["status"], "in_progress");
    let revoked = async {
        daemon.until_state("endless", Some("BUSY")).await;
        revoke(&daemon, "phone").await;
    };
    let (whole, ()) = tokio::join!(phone.post("/v1/chat/completions", &body), revoked);
    assert_eq!(
        (whole.status, &whole.json()["error"]["code"]),
        (401, &json!("unauthenticated"))
    );
    daemon.until_state("endless", Some("LOADED")).await;
    // Who has all rights sees what came of it.
    let path = format!("/v1/responses/{}", begun["id"].as_str().unwrap());
    let http = daemon.http().await;
    airunner_tests::eventually("the answer in the background has failed", async || {
        http.get(&path).await.ok()["status"] == "failed"
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn sockets_and_events_end_with_their_key() {
    let daemon = Daemon::with_models(&[endless()]).await;
    let phone = visitor(&daemon, "phone", None).await;
    let local = daemon.http().await;
    let mut chat = phone.socket("/api/v1/llm/stream").await;
    let mut idle = phone.socket("/api/v1/llm/stream").await;
    let mut watching = phone.socket("/api/v1/events/ws").await;
    let mut stays = local.socket("/api/v1/events/ws").await;
    let mut events = phone.request("GET", "/api/v1/events").send().await.unwrap();
    assert!(events.chunk().await.unwrap().is_some());
    assert_eq!(stays.hear().await["type"], "snapshot");
    chat.say(&json!({"type": "chat", "id": "1", "model": "endless", "message": "Hi"}))
        .await;
    chat.until("chunk").await;
    revoke(&daemon, "phone").await;
    for socket in [&mut chat, &mut idle, &mut watching] {
        assert_eq!(socket.closed().await, Some(1008));
    }
    let last = last(events).await;
    assert_eq!(
        (&last["type"], &last["error"]["reason"]),
        (&json!("error"), &json!("unauthenticated"))
    );
    daemon.until_state("endless", Some("LOADED")).await;
    // The other one goes on: it hears how the model became free.
    while stays.hear().await["model"]["state"] != "LOADED" {}
    assert_eq!(phone.try_socket("/api/v1/llm/stream").await.err(), Some(401));
    daemon.stop().await;
}

#[tokio::test]
async fn a_key_that_expires_ends_its_stream() {
    let daemon = Daemon::with_models(&[endless()]).await;
    daemon
        .http()
        .await
        .post("/api/v1/llm/load", &json!({"model": "endless"}))
        .await
        .ok();
    let phone = visitor(&daemon, "phone", Some("30s")).await;
    let (path, body, reason) = streams().into_iter().next().unwrap();
    let response = begun(&phone, path, &body).await;
    let last = last(response).await;
    assert_eq!(last.pointer(reason), Some(&json!("unauthenticated")), "{last}");
    daemon.until_state("endless", Some("LOADED")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn no_key_takes_the_sockets_of_all() {
    let daemon = Daemon::start().await;
    let phone = visitor(&daemon, "phone", None).await;
    let mut held = Vec::new();
    let refused = loop {
        match phone.try_socket("/api/v1/llm/stream").await {
            Ok(socket) => held.push(socket),
            Err(status) => break status,
        }
    };
    assert_eq!((held.len(), refused), (128, 429));
    let reply = Reply::of(
        phone
            .request("GET", "/api/v1/llm/stream")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    )
    .await;
    assert!(reply.headers.contains_key("retry-after"), "{}", reply.text);
    assert!(reply.text.contains("this key"), "{}", reply.text);
    let tablet = visitor(&daemon, "tablet", None).await;
    assert!(tablet.try_socket("/api/v1/llm/stream").await.is_ok());
    held.pop();
    airunner_tests::eventually("there is room again", async || {
        phone.try_socket("/api/v1/llm/stream").await.is_ok()
    })
    .await;
    daemon.stop().await;
}
