//! Loading, unloading and what users see of it.

use airunner_tests::{Daemon, FakeModel, Gate, Home, eventually, is_alive};
use serde_json::json;

#[tokio::test]
async fn a_model_goes_through_its_life_at_the_users_word() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["Once", " upon"])]).await;
    let cli = daemon.home.cli();

    let models = cli.json(&["models"]).await;
    let tiny = models
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "tiny")
        .unwrap();
    assert_eq!(
        (&tiny["state"], &tiny["kind"], &tiny["source"]),
        (&json!("UNLOADED"), &json!("llm"), &json!("import:tiny"))
    );
    assert!(tiny["size_bytes"].as_u64().unwrap() > 0);
    assert_eq!(cli.json(&["ps"]).await, json!([]));

    cli.run(&["load", "tiny"]).await.succeeded();
    let row = daemon.ps("tiny").await.unwrap();
    assert_eq!(row["state"], "LOADED");
    assert_eq!(row["active_requests"], 0);
    assert!(row["expires_at"].is_string(), "{row}");
    let pid = u32::try_from(row["pid"].as_u64().unwrap()).unwrap();
    assert_eq!(daemon.workers(), [pid]);
    assert!(row["memory_bytes"].as_u64().unwrap() > 0 && row["context_length"].as_u64().unwrap() > 0);
    assert_eq!(row["device"], "cpu");

    cli.run(&["unload", "tiny"]).await.succeeded();
    assert!(!is_alive(pid), "unload returns when the worker is gone");
    assert_eq!(cli.json(&["ps"]).await, json!([]));

    cli.run(&["models", "remove", "tiny"]).await.succeeded();
    assert!(daemon.home.files_in("data/models").is_empty());
    assert_eq!(cli.refusal(&["load", "tiny"]).await.1, "model_not_found");
    daemon.stop().await;
}

#[tokio::test]
async fn twenty_callers_make_one_load() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny").loads_in_ms(500).speaks(&["yes"])]).await;
    let cli = daemon.home.cli();
    let calls: Vec<_> = (0..20)
        .map(|_| cli.spawn(&["chat", "tiny", "Well?", "--json"]))
        .collect();
    for call in calls {
        let output = call.wait_with_output().await.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    daemon.until_logged(r#""to":"LOADED""#).await;
    let loads = daemon.home.log().matches(r#""to":"LOADING""#).count();
    assert_eq!(loads, 1, "{}", daemon.home.log());
    assert_eq!(daemon.workers().len(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn an_idle_model_leaves_by_itself_and_the_wishes_of_callers_count() {
    let mut home = Home::new();
    home.set("AIRUNNER_MODELS_KEEP_ALIVE", "300ms");
    let daemon = Daemon::start_in(home).await;
    daemon.install(&FakeModel::new("tiny").speaks(&["yes"])).await;
    let cli = daemon.home.cli();

    cli.run(&["load", "tiny"]).await.succeeded();
    daemon.until_state("tiny", None).await;
    daemon.until_logged("idle_timeout").await;

    cli.run(&["load", "tiny", "--keep-alive", "-1"]).await.succeeded();
    cli.run(&["chat", "tiny", "Well?"]).await.succeeded();
    let row = daemon.ps("tiny").await.unwrap();
    assert!(row["expires_at"].is_null(), "kept for ever: {row}");

    cli.run(&["load", "tiny", "--keep-alive", "0"]).await.succeeded();
    daemon.until_state("tiny", None).await;
    eventually("no worker is left", async || daemon.workers().is_empty()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn unloading_waits_for_the_answer_and_force_does_not() {
    let gate = Gate::new();
    let model = FakeModel::new("tiny").speaks(&["a"; 40]).token_every_ms(25);
    let model = model.waits_after(1, &gate);
    let daemon = Daemon::with_models(&[model]).await;
    let cli = daemon.home.cli();

    let answer = cli.spawn(&["chat", "tiny", "Well?", "--json"]);
    daemon.until_state("tiny", Some("BUSY")).await;
    let unload = cli.spawn(&["unload", "tiny"]);
    gate.open();
    assert!(unload.wait_with_output().await.unwrap().status.success());
    let answer = answer.wait_with_output().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(
        answer["text"],
        "a".repeat(40),
        "the answer was complete before the unload"
    );

    gate.close();
    let answer = cli.spawn(&["chat", "tiny", "Well?", "--json"]);
    daemon.until_state("tiny", Some("BUSY")).await;
    cli.run(&["unload", "tiny", "--force"]).await.succeeded();
    let answer = answer.wait_with_output().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["error"]["reason"], "cancelled");
    daemon.stop().await;
}

#[tokio::test]
async fn a_load_nobody_waits_for_is_given_up() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny").loads_in_ms(600_000)]).await;
    let load = daemon.home.cli().spawn(&["load", "tiny"]);
    daemon.until_state("tiny", Some("LOADING")).await;
    drop(load);
    daemon.until_state("tiny", None).await;
    eventually("the worker is gone", async || daemon.workers().is_empty()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_copy_needs_nothing_of_its_original() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["yes"])]).await;
    let cli = daemon.home.cli();
    cli.run(&["load", "tiny"]).await.succeeded();
    let said = cli
        .run(&["models", "copy", "tiny", "team/second"])
        .await
        .succeeded();
    assert!(said.stdout.contains("team/second is a copy of tiny"), "{said:?}");
    let copied = cli.json(&["models", "copy", "tiny", "third"]).await;
    assert_eq!(copied, json!({"copied": "tiny", "name": "third"}));
    for (arguments, reason) in [
        (["tiny", "third"], "already_exists"),
        (["tiny", "Third"], "already_exists"),
        (["tiny", "builtin/tiny"], "permission_denied"),
        (["tiny", "../tiny"], "invalid_argument"),
        (["nobody", "fourth"], "model_not_found"),
    ] {
        let command = [&["models", "copy"], arguments.as_slice()].concat();
        assert_eq!(cli.refusal(&command).await.1, reason, "{arguments:?}");
    }
    cli.run(&["unload", "tiny"]).await.succeeded();
    cli.run(&["models", "remove", "tiny"]).await.succeeded();
    let answer = cli.json(&["chat", "team/second", "Well?"]).await;
    assert_eq!(answer["text"], "yes");
    daemon.stop().await;
}

#[tokio::test]
async fn a_model_in_memory_is_not_removed() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny")]).await;
    let cli = daemon.home.cli();
    cli.run(&["load", "tiny"]).await.succeeded();
    assert_eq!(cli.refusal(&["models", "remove", "tiny"]).await.1, "busy");
    assert_eq!(
        cli.refusal(&["models", "remove", "builtin/helper"]).await.1,
        "permission_denied"
    );
    assert_eq!(daemon.ps("tiny").await.unwrap()["state"], "LOADED");
    daemon.stop().await;
}

#[tokio::test]
async fn how_keys_and_values_are_kept_is_as_it_was_set() {
    for (set, kept) in [(None, "f32"), (Some("q8"), "q8")] {
        let mut home = Home::new();
        if let Some(kind) = set {
            home.set("AIRUNNER_MODELS_CACHE_TYPE", kind);
        }
        let daemon = Daemon::start_in(home).await;
        daemon.install(&FakeModel::new("tiny").speaks(&["yes"])).await;
        daemon.home.cli().run(&["load", "tiny"]).await.succeeded();
        let row = daemon.ps("tiny").await.unwrap();
        assert_eq!(row["cache_type"], kept, "{row}");
        daemon.stop().await;
    }
}

#[tokio::test]
async fn models_that_answer_at_the_same_time_share_the_cores() {
    let endless = |name| FakeModel::new(name).speaks(&["word "; 9]).hangs_after(5);
    let mut home = Home::new();
    home.set("AIRUNNER_RUNTIME_THREADS", "5");
    let daemon = Daemon::start_in(home).await;
    for name in ["first", "second"] {
        daemon.install(&endless(name)).await;
    }
    let cli = daemon.home.cli();
    let threads = async |first: Option<u64>, second: Option<u64>| {
        let of = async |name| daemon.ps(name).await.and_then(|row| row["threads"].as_u64());
        let what = format!("they have {first:?} and {second:?} threads");
        eventually(&what, async || {
            (of("first").await, of("second").await) == (first, second)
        })
        .await;
    };
    cli.run(&["load", "first"]).await.succeeded();
    threads(Some(5), None).await;
    let first = cli.spawn(&["chat", "first", "Well?", "--json"]);
    daemon.until_state("first", Some("BUSY")).await;
    let second = cli.spawn(&["chat", "second", "Well?", "--json"]);
    daemon.until_state("second", Some("BUSY")).await;
    threads(Some(3), Some(2)).await;
    drop(second);
    daemon.until_state("second", Some("LOADED")).await;
    threads(Some(5), Some(5)).await;
    drop(first);
    daemon.stop().await;
}
