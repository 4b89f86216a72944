//! Many requests over one WebSocket.

use airunner_tests::{Daemon, FakeModel, Home};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/llm/stream";

fn chat(id: &str, model: &str) -> Value {
    json!({"type": "chat", "id": id, "model": model, "messages": [{"role": "user", "content": "Hello"}]})
}

fn text_of(heard: &[Value], id: &str) -> String {
    heard
        .iter()
        .filter(|value| value["type"] == "chunk" && value["id"] == id)
        .map(|value| value["content"].as_str().unwrap())
        .collect()
}

fn endless() -> FakeModel {
    FakeModel::new("endless")
        .speaks(&["x"])
        .with("repeat", true)
        .token_every_ms(10)
}

#[tokio::test]
async fn many_turns_and_many_requests_share_a_socket_and_do_not_mix() {
    let daemon = Daemon::with_models(&[
        FakeModel::new("echo"),
        FakeModel::new("one").speaks(&["1"; 20]).token_every_ms(2),
        FakeModel::new("two").speaks(&["2"; 20]).token_every_ms(2),
    ])
    .await;
    let http = daemon.http().await;
    let mut socket = http.socket(PATH).await;
    socket.say(&chat("a", "one")).await;
    socket.say(&chat("b", "two")).await;
    let mut heard = socket.until("done").await;
    heard.extend(socket.until("done").await);
    assert_eq!(text_of(&heard, "a"), "1".repeat(20));
    assert_eq!(text_of(&heard, "b"), "2".repeat(20));
    for id in ["a", "b"] {
        let own: Vec<&Value> = heard.iter().filter(|value| value["id"] == id).collect();
        assert_eq!(
            (&own[0]["type"], &own[own.len() - 1]["type"]),
            (&json!("start"), &json!("done"))
        );
    }
    let mut sizes = Vec::new();
    for turn in ["first", "second", "third"] {
        socket
            .say(&json!({"type": "chat", "id": "t", "model": "one", "message": turn}))
            .await;
        let heard = socket.until("done").await;
        sizes.push(heard.last().unwrap()["usage"]["prompt_tokens"].as_u64().unwrap());
    }
    assert!(
        sizes.is_sorted_by(|a, b| a < b),
        "each turn reads those before it: {sizes:?}"
    );
    socket.ping().await;
    socket.say(&chat("again", "one")).await;
    socket.until("done").await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_cancelled_request_and_a_lost_socket_free_the_model() {
    let daemon = Daemon::with_models(&[endless()]).await;
    let http = daemon.http().await;
    let mut socket = http.socket(PATH).await;
    socket.say(&chat("a", "endless")).await;
    socket.until("chunk").await;
    socket.say(&chat("a", "endless")).await;
    let refused = socket.until("error").await;
    assert_eq!(refused.last().unwrap()["id"], Value::Null, "the name is taken");
    socket.say(&json!({"type": "cancel", "id": "a"})).await;
    let heard = socket.until("done").await;
    assert_eq!(heard.last().unwrap()["finish_reason"], "cancelled");
    daemon.until_state("endless", Some("LOADED")).await;
    socket.say(&json!({"type": "cancel", "id": "a"})).await;
    let unknown = socket.until("error").await;
    assert_eq!(unknown.last().unwrap()["error"]["reason"], "not_found");

    socket.say(&chat("b", "endless")).await;
    socket.until("chunk").await;
    drop(socket);
    daemon.until_state("endless", Some("LOADED")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_malformed_is_answered_or_ends_the_socket_and_nothing_else() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_BODY_LIMIT", "64KiB");
    let daemon = Daemon::start_in(home).await;
    daemon.install(&FakeModel::new("tiny").speaks(&["Hi"])).await;
    daemon.install(&endless()).await;
    let http = daemon.http().await;
    let mut socket = http.socket(PATH).await;
    for bad in [
        "",
        "nonsense",
        "{}",
        "[1]",
        r#"{"type": "chat", "id": 7}"#,
        &"[".repeat(60_000),
    ] {
        socket.text(bad).await;
        let error = socket.hear().await;
        assert_eq!(
            (&error["type"], &error["error"]["reason"]),
            (&json!("error"), &json!("invalid_argument"))
        );
    }
    let mut unknown = chat("1", "tiny");
    unknown["temprature"] = json!(1);
    socket.say(&unknown).await;
    let error = socket.hear().await;
    assert_eq!(error["id"], "1");
    assert!(error["error"]["message"].as_str().unwrap().contains("temprature"));
    socket.say(&chat("2", "none")).await;
    assert_eq!(
        socket.until("error").await.last().unwrap()["error"]["reason"],
        "model_not_found"
    );
    for number in 0..33 {
        socket.say(&chat(&format!("many{number}"), "endless")).await;
    }
    let full = socket.until("error").await;
    assert_eq!(full.last().unwrap()["error"]["reason"], "queue_full");
    drop(socket);

    let mut large = http.socket(PATH).await;
    large.text(&"x".repeat(70_000)).await;
    assert_eq!(large.closed().await, Some(1009));
    let mut huge = http.socket(PATH).await;
    // The head of a frame of 1 TiB, and nothing of it.
    huge.raw(&[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4]).await;
    assert_eq!(huge.closed().await, Some(1009));
    let mut binary = http.socket(PATH).await;
    binary.bytes(b"\0\x01").await;
    assert_eq!(binary.closed().await, Some(1003));
    let mut not_text = http.socket(PATH).await;
    not_text.raw(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]).await;
    assert_eq!(not_text.closed().await, Some(1007));
    let mut garbage = http.socket(PATH).await;
    garbage.raw(&[0xff; 64]).await;
    assert_eq!(garbage.closed().await, Some(1002));

    let refused = http.get(PATH).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["reason"], "invalid_argument");
    let mut after = http.socket(PATH).await;
    after.say(&chat("1", "tiny")).await;
    after.until("done").await;
    daemon.stop().await;
}
