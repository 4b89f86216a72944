//! Pausing and resuming, as users and programs see it.

use airunner_core::event::Event;
use airunner_core::pause::PauseRequest;
use airunner_ipc_client::{Client, Endpoint, Update};
use airunner_tests::{Daemon, FakeModel, Gate, eventually};
use serde_json::{Value, json};

async fn status(daemon: &Daemon) -> Value {
    daemon.home.cli().json(&["status"]).await
}

#[tokio::test]
async fn a_pause_gives_everything_back_and_refuses_politely_until_it_is_over() {
    let mut daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["yes"])]).await;
    let cli = daemon.home.cli();
    cli.run(&["load", "tiny"]).await.succeeded();
    assert_eq!(status(&daemon).await["paused"], Value::Null);

    let paused = cli.json(&["pause"]).await;
    assert_eq!(paused["unloaded"], json!(["tiny"]));
    assert_eq!(paused["paused"]["until"], Value::Null);
    assert!(daemon.workers().is_empty(), "it returns when the memory is back");
    assert_eq!(cli.refusal(&["load", "tiny"]).await.1, "paused");
    assert_eq!(cli.refusal(&["chat", "tiny", "Well?"]).await.1, "paused");
    assert!(status(&daemon).await["paused"]["since"].is_string());
    let shown = cli.run(&["status"]).await;
    assert!(shown.stdout.contains("airunner resume"), "{shown:?}");

    daemon.end_by(15).await;
    daemon.start_again().await;
    let cli = daemon.home.cli();
    assert_eq!(cli.refusal(&["load", "tiny"]).await.1, "paused");
    assert_eq!(cli.json(&["resume"]).await, json!({ "was_paused": true }));
    cli.run(&["chat", "tiny", "Well?"]).await.succeeded();
    assert_eq!(cli.json(&["resume"]).await, json!({ "was_paused": false }));
    daemon.stop().await;
}

#[tokio::test]
async fn every_family_of_clients_is_told_when_to_come_back() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["yes"])]).await;
    let http = daemon.http().await;
    let paused = http.post("/api/v1/pause", &json!({"for": "1h"})).await.ok();
    assert!(paused["paused"]["until"].is_string(), "{paused}");
    let turn = json!([{"role": "user", "content": "Well?"}]);
    for (path, body) in [
        ("/v1/chat/completions", json!({"model": "tiny", "messages": turn})),
        (
            "/v1/messages",
            json!({"model": "tiny", "max_tokens": 9, "messages": turn}),
        ),
        ("/api/chat", json!({"model": "tiny", "messages": turn})),
        ("/api/v1/llm/chat", json!({"model": "tiny", "messages": turn})),
        ("/api/v1/llm/load", json!({"model": "tiny"})),
    ] {
        let reply = http.post(path, &body).await;
        assert_eq!(reply.status, 503, "{path}: {reply:?}");
        let seconds: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=3601).contains(&seconds), "{path}: {seconds}");
    }
    let asked = json!({"model": "tiny", "level": "q4_m"});
    let reply = http.post("/api/v1/models/quantize", &asked).await;
    assert_eq!(reply.json()["error"]["reason"], "paused");
    assert!(http.get("/api/v1/status").await.ok()["paused"]["since"].is_string());
    for wrong in [json!({"for": "soon"}), json!({"for": "-1"}), json!({"for": 3})] {
        assert_eq!(http.post("/api/v1/pause", &wrong).await.status, 400, "{wrong}");
    }
    let resumed = http.post("/api/v1/resume", &json!({})).await.ok();
    assert_eq!(resumed, json!({ "was_paused": true }));
    http.post(
        "/v1/chat/completions",
        &json!({"model": "tiny", "messages": turn}),
    )
    .await
    .ok();

    let key = daemon
        .home
        .cli()
        .json(&["keys", "create", "phone", "--scope", "inference,models"])
        .await;
    let weaker = http.with_key(key["key"].as_str().unwrap());
    for path in ["/api/v1/pause", "/api/v1/resume"] {
        assert_eq!(weaker.post(path, &json!({})).await.status, 403, "{path}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn an_answer_under_way_is_finished_first_unless_it_is_forced() {
    let gate = Gate::new();
    let slow = FakeModel::new("slow")
        .speaks(&["one", " two", " three"])
        .waits_after(1, &gate);
    let daemon = Daemon::with_models(&[slow]).await;
    let cli = daemon.home.cli();
    let answer = cli.spawn(&["chat", "slow", "Well?"]);
    daemon.until_state("slow", Some("BUSY")).await;
    assert_eq!(cli.json(&["pause"]).await["finishing"], json!(["slow"]));
    gate.open();
    let answer = answer.wait_with_output().await.unwrap();
    assert!(answer.status.success(), "{answer:?}");
    assert!(String::from_utf8_lossy(&answer.stdout).contains("one two three"));
    daemon.until_state("slow", None).await;
    daemon.until_logged(r#""reason":"paused""#).await;
    cli.run(&["resume"]).await.succeeded();

    gate.close();
    let answer = cli.spawn(&["chat", "slow", "Well?"]);
    daemon.until_state("slow", Some("BUSY")).await;
    assert_eq!(cli.json(&["pause", "--force"]).await["unloaded"], json!(["slow"]));
    let answer = answer.wait_with_output().await.unwrap();
    assert_eq!(answer.status.code(), Some(1));
    daemon.stop().await;
}

#[tokio::test]
async fn watchers_see_it_begin_and_end_by_itself() {
    let daemon = Daemon::start().await;
    let endpoint = Endpoint::at(status(&daemon).await["socket"].as_str().unwrap().into());
    let client = Client::connect(&endpoint).await.unwrap();
    let mut watch = client.watch();
    let Update::Snapshot(snapshot) = watch.next().await else {
        panic!("a snapshot comes first");
    };
    assert_eq!(snapshot.paused, None);
    let request = PauseRequest {
        length: Some(std::time::Duration::from_secs(1)),
        force: false,
    };
    let paused = client.control().pause(request).await.unwrap();
    let mut told = Vec::new();
    while told.len() < 2 {
        if let Update::Event(Event::PauseChanged(change)) = watch.next().await {
            told.push(change);
        }
    }
    assert_eq!(told[0].map(|pause| pause.until.is_some()), Some(true));
    assert_eq!(told[1], None);
    assert!(paused.unloaded.is_empty() && paused.finishing.is_empty());
    eventually("it can be used again", async || {
        status(&daemon).await["paused"] == Value::Null
    })
    .await;
    daemon.stop().await;
}
