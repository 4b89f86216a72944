//! Models, memory and what happens, in our own language.

use airunner_tests::{Daemon, FakeModel};
use serde_json::{Value, json};

#[tokio::test]
async fn models_memory_and_machine_are_told() {
    let daemon = Daemon::with_models(&[FakeModel::new("team/tiny").with("estimate_bytes", 1 << 20)]).await;
    let http = daemon.http().await;
    for path in ["/api/v1/health", "/api/v1/live", "/api/v1/ready"] {
        assert!(http.get(path).await.ok()["status"].is_string());
    }
    assert_eq!(
        http.get("/api/v1/version").await.ok()["version"],
        env!("CARGO_PKG_VERSION")
    );
    let names = |list: Value| {
        list["models"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["name"].clone())
            .collect::<Vec<_>>()
    };
    assert!(names(http.get("/api/v1/models").await.ok()).contains(&json!("team/tiny")));
    for path in ["/api/v1/models/team/tiny", "/api/v1/models/team%2Ftiny"] {
        let shown = http.get(path).await.ok();
        assert_eq!(
            (&shown["name"], &shown["state"]),
            (&json!("team/tiny"), &json!("UNLOADED"))
        );
        assert!(shown.get("directory").is_none(), "no path of this machine");
    }
    let estimate = http
        .post("/api/v1/models/estimate", &json!({"model": "team/tiny"}))
        .await
        .ok();
    assert_eq!(estimate["fits"], true);
    http.post("/api/v1/llm/load", &json!({"model": "team/tiny"}))
        .await
        .ok();
    let status = http.get("/api/v1/status").await.ok();
    assert!(status["pid"].is_number() && status["memory"].is_array());
    let freed = http.post("/api/v1/memory/free", &json!({})).await.ok();
    assert_eq!(freed["unloaded"], json!(["team/tiny"]));
    let memory = http.get("/api/v1/memory").await.ok();
    let cpu = memory["devices"][0].clone();
    assert_eq!(cpu["device"], "cpu");
    let budget = http
        .request("PUT", "/api/v1/memory/budget")
        .body(r#"{"device": "cpu", "budget": "50%"}"#);
    let memory = airunner_tests::Reply::of(budget).await.ok();
    assert_eq!(
        memory["devices"][0]["budget_bytes"].as_u64().unwrap(),
        cpu["total_bytes"].as_u64().unwrap() / 2
    );
    assert!(
        http.get("/api/v1/hardware").await.ok()["cpu"]["usable_threads"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert_eq!(
        http.get("/api/v1/usage?days=1").await.ok()["models"][0]["model"],
        "team/tiny"
    );
    assert!(!names(http.get("/api/v1/catalog?search=qwen").await.ok()).is_empty());
    assert_eq!(http.delete("/api/v1/models/team/tiny").await.status, 204);
    assert_eq!(http.get("/api/v1/models/team/tiny").await.status, 404);
    assert_eq!(http.get("/api/v1/usage?days=0").await.status, 400);
    daemon.stop().await;
}

#[tokio::test]
async fn events_come_after_a_snapshot_in_order() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny")]).await;
    let http = daemon.http().await;
    let mut stream = http.request("GET", "/api/v1/events").send().await.unwrap();
    let mut socket = http.socket("/api/v1/events/ws").await;
    let snapshot = socket.hear().await;
    assert_eq!(snapshot["type"], "snapshot");
    assert!(
        snapshot["models"]
            .as_array()
            .unwrap()
            .iter()
            .any(|model| model["name"] == "tiny")
    );
    http.post("/api/v1/llm/load", &json!({"model": "tiny"}))
        .await
        .ok();
    let mut before = snapshot["sequence"].as_u64().unwrap();
    let mut states = Vec::new();
    while states.last() != Some(&json!("LOADED")) {
        let event = socket.hear().await;
        let sequence = event["sequence"].as_u64().unwrap();
        assert_eq!(sequence, before + 1, "no gap: {event}");
        before = sequence;
        if event["type"] == "model_changed" {
            states.push(event["model"]["state"].clone());
        }
    }
    assert!(states.contains(&json!("LOADING")), "{states:?}");
    let mut text = String::new();
    while !text.contains("\"state\":\"LOADED\"") {
        let piece = stream.chunk().await.unwrap().expect("the stream goes on");
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(text.contains("event: snapshot"), "{text}");
    drop(stream);
    daemon.stop().await;
}
