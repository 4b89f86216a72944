//! Conversations that are kept.

use airunner_tests::{Daemon, FakeModel};
use serde_json::{Value, json};

const ALL: &str = "/api/v1/llm/conversations";

fn says(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn a_conversation_is_kept_continued_found_renamed_and_deleted() {
    let mut daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["Good", " day"])]).await;
    let http = daemon.http().await;
    let system = json!({"model": "tiny", "messages": [{"role": "system", "content": "Be brief."}]});
    let created = http.post(ALL, &system).await;
    assert_eq!(created.status, 201);
    let one = format!("{ALL}/{}", created.json()["id"].as_str().unwrap());
    let turn = http
        .post(&format!("{one}/messages"), &says("What about cakes?"))
        .await
        .ok();
    assert_eq!(turn["content"], "Good day");
    let mut streamed = says("And bread?");
    streamed["stream"] = json!(true);
    let streamed = http.post(&format!("{one}/messages"), &streamed).await;
    assert!(streamed.events().last().unwrap().contains("conversation_id"));

    assert_eq!(daemon.end_by(15).await.code(), Some(0));
    daemon.start_again().await;
    let http = daemon.http().await;
    let kept = http.get(&one).await.ok();
    assert_eq!(kept["title"], "What about cakes?");
    let roles: Vec<&str> = kept["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
    assert_eq!(kept["messages"][4]["content"], "Good day");
    assert_eq!(kept["messages"][4]["model"], "tiny");

    let mut by_id = says("Third");
    by_id["conversation_id"] = kept["id"].clone();
    http.post("/api/v1/llm/chat", &by_id).await.ok();
    let history = http.get("/api/v1/llm/history?limit=2").await.ok();
    assert_eq!(
        (&history["total"], &history["messages"][1]["content"]),
        (&json!(7), &json!("Third"))
    );
    let found = |search: &str| format!("{ALL}?search={search}");
    assert_eq!(http.get(&found("bread")).await.ok()["total"], 1);
    assert_eq!(http.get(&found("trains")).await.ok()["total"], 0);
    let rename = http.request("PATCH", &one).body(r#"{"title": "Baking"}"#);
    assert_eq!(airunner_tests::Reply::of(rename).await.ok()["title"], "Baking");
    assert_eq!(http.get(ALL).await.ok()["conversations"][0]["title"], "Baking");

    assert_eq!(http.delete(&one).await.status, 204);
    assert_eq!(http.get(&one).await.status, 404);
    assert_eq!(http.delete(&one).await.status, 404);
    assert_eq!(http.get("/api/v1/llm/history").await.ok()["total"], 0);
    let database = std::fs::read_dir(daemon.home.path().join("data")).unwrap();
    for file in database.flatten().filter(|file| file.path().is_file()) {
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"bread?"), "{file:?}");
    }
    assert!(!daemon.home.log().contains("bread"), "nothing private in the log");
    daemon.stop().await;
}

#[tokio::test]
async fn one_turn_at_a_time_and_what_was_given_up_never_happened() {
    let slow = FakeModel::new("slow")
        .speaks(&["x"])
        .with("repeat", true)
        .token_every_ms(20);
    let daemon = Daemon::with_models(&[slow]).await;
    let http = daemon.http().await;
    let created = http
        .post(ALL, &json!({"title": "Slow", "model": "slow"}))
        .await
        .ok();
    let one = format!("{ALL}/{}", created["id"].as_str().unwrap());
    let mut turn = says("Go on");
    turn["stream"] = json!(true);
    let messages = format!("{one}/messages");
    let mut response = http
        .request("POST", &messages)
        .body(turn.to_string())
        .send()
        .await
        .unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert_eq!(http.post(&messages, &turn).await.status, 409);
    drop(response);
    daemon.until_state("slow", Some("LOADED")).await;
    assert_eq!(http.get(&one).await.ok()["messages"], json!([]));
    for (path, status) in [
        (format!("{ALL}?limit=0"), 400),
        (format!("{ALL}?limit=many"), 400),
        (format!("{ALL}?size=3"), 400),
        (format!("{ALL}/conv_none"), 404),
        (format!("{ALL}/%00"), 404),
    ] {
        assert_eq!(http.get(&path).await.status, status, "{path}");
    }
    let long = json!({"title": "x".repeat(300)});
    assert_eq!(http.post(ALL, &long).await.status, 400);
    daemon.stop().await;
}
