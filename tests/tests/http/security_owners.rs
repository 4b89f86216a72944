//! What belongs to a key is nobody else's, and what is open when the daemon ends is told so.

use std::net::TcpListener;

use airunner_tests::{Daemon, FakeModel, Home, Http};
use serde_json::json;

const CONVERSATIONS: &str = "/api/v1/llm/conversations";
const OLLAMA: &str = "127.0.0.1:11434";

async fn as_key(daemon: &Daemon, http: &Http, name: &str) -> Http {
    let create = ["keys", "create", name, "--scope", "inference"];
    let created = daemon.home.cli().json(&create).await;
    http.with_key(created["key"].as_str().unwrap())
}

#[tokio::test]
async fn what_one_key_made_another_does_not_see() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["Good"])]).await;
    let all = daemon.http().await;
    let (one, other) = (
        as_key(&daemon, &all, "one").await,
        as_key(&daemon, &all, "other").await,
    );
    let says = json!({"model": "tiny", "messages": [{"role": "user", "content": "mine"}]});
    let created = one.post(CONVERSATIONS, &says).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let conversation = format!("{CONVERSATIONS}/{}", created.json()["id"].as_str().unwrap());
    let answer = one
        .post("/v1/responses", &json!({"model": "tiny", "input": "mine"}))
        .await
        .ok();
    let response = format!("/v1/responses/{}", answer["id"].as_str().unwrap());
    for path in [&conversation, &response] {
        assert_eq!(one.get(path).await.status, 200, "{path}");
        assert_eq!(all.get(path).await.status, 200, "the local user sees all: {path}");
        assert_eq!(other.get(path).await.status, 404, "{path}");
        assert_eq!(other.delete(path).await.status, 404, "{path}");
        assert_eq!(one.get(path).await.status, 200, "{path} is still there");
    }
    assert_eq!(other.get(CONVERSATIONS).await.ok()["total"], 0);
    assert_eq!(one.get(CONVERSATIONS).await.ok()["total"], 1);
    let goes_on = json!({"model": "tiny", "input": "and?", "previous_response_id": answer["id"]});
    let refused = other.post("/v1/responses", &goes_on).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert_eq!(refused.json()["error"]["code"], "previous_response_not_found");
    daemon.stop().await;
}

#[tokio::test]
async fn the_end_of_the_daemon_ends_what_is_open() {
    let endless = FakeModel::new("endless")
        .speaks(&["x"])
        .with("repeat", true)
        .token_every_ms(10);
    let mut daemon = Daemon::with_models(&[endless]).await;
    let http = daemon.http().await;
    let mut socket = http.socket("/api/v1/llm/stream").await;
    let says = json!([{"role": "user", "content": "go on"}]);
    socket
        .say(&json!({"type": "chat", "id": "a", "model": "endless", "messages": says}))
        .await;
    socket.until("chunk").await;
    let streaming = http.request("POST", "/v1/chat/completions");
    let request = json!({"model": "endless", "messages": says, "stream": true});
    let streaming = streaming.body(request.to_string()).send().await.unwrap();
    let rest = tokio::spawn(streaming.text());
    let events = http.request("GET", "/api/v1/events").send().await.unwrap();
    let events = tokio::spawn(events.text());
    assert_eq!(daemon.end_by(15).await.code(), Some(0));
    let code = socket.closed().await;
    assert!(matches!(code, Some(1001 | 1012) | None), "{code:?}");
    // Whether by a last event or by the end of the connection: nobody waits for ever.
    drop(rest.await.unwrap());
    drop(events.await.unwrap());
}

#[tokio::test]
async fn clients_of_ollama_find_their_port_if_nobody_has_it() {
    let taken = TcpListener::bind(OLLAMA);
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_OLLAMA_PORT", "true");
    let mut daemon = Daemon::start_in(home).await;
    // Somebody else has the port: the usual one is served all the same.
    assert_eq!(daemon.http().await.get("/api/version").await.status, 200);
    let Ok(taken) = taken else {
        eprintln!("SKIPPED: another program has {OLLAMA}");
        return daemon.stop().await;
    };
    drop(taken);
    assert_eq!(daemon.end_by(15).await.code(), Some(0));
    daemon.start_again().await;
    let usual = daemon.http().await;
    let second = usual.at(&format!("http://{OLLAMA}"));
    assert!(second.get("/api/version").await.ok()["version"].is_string());
    assert_eq!(second.with_key("").get("/api/tags").await.status, 401);
    daemon.stop().await;
}
