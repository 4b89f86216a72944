//! Models that share a memory too small for all of them.

#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use airunner_tests::{Daemon, FakeModel, Gate, Home, PATIENCE, eventually, is_alive, testdata};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// A model that really takes so much.
fn sized(name: &str, mebibytes: u64) -> FakeModel {
    FakeModel::new(name)
        .with("memory_bytes", mebibytes * MIB)
        .speaks(&["yes"])
}

async fn daemon_with_budget(budget: &str, models: &[FakeModel]) -> Daemon {
    let mut home = Home::new();
    home.set("AIRUNNER_MEMORY_CPU_BUDGET", budget);
    let daemon = Daemon::start_in(home).await;
    for model in models {
        daemon.install(model).await;
    }
    daemon
}

/// Main memory, as `airunner memory --json` tells it.
async fn main_memory(daemon: &Daemon) -> Value {
    let memory = daemon.home.cli().json(&["memory"]).await;
    let devices = memory["devices"].as_array().expect("devices");
    let main = devices.iter().find(|device| device["device"] == "cpu");
    main.expect("main memory").clone()
}

fn bytes(value: &Value, field: &str) -> u64 {
    value[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field} of {value}"))
}

async fn reason_of_last_unload(daemon: &Daemon, model: &str) -> String {
    let models = daemon.home.cli().json(&["models"]).await;
    let row = models.as_array().unwrap().iter().find(|row| row["name"] == model);
    row.expect("installed")["last_unload_reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn the_parts_of_the_memory_add_up_and_follow_what_is_loaded() {
    let daemon = daemon_with_budget("600MiB", &[sized("tiny", 100)]).await;
    let before = main_memory(&daemon).await;
    assert_eq!(bytes(&before, "budget_bytes"), 600 * MIB);
    assert_eq!(
        (bytes(&before, "models_bytes"), bytes(&before, "free_bytes")),
        (0, 600 * MIB)
    );
    daemon.home.cli().run(&["load", "tiny"]).await.succeeded();
    let after = main_memory(&daemon).await;
    assert!(bytes(&after, "models_bytes") >= 100 * MIB, "{after}");
    for memory in [&before, &after] {
        let parts = [
            "models_bytes",
            "canvas_history_bytes",
            "system_reserve_bytes",
            "external_apps_bytes",
            "free_bytes",
        ];
        let sum: u64 = parts.iter().map(|part| bytes(memory, part)).sum();
        assert_eq!(sum, bytes(memory, "total_bytes"), "{memory}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_model_that_does_not_fit_beside_an_idle_one_takes_its_place() {
    let daemon = daemon_with_budget("300MiB", &[sized("first", 150), sized("second", 150)]).await;
    let cli = daemon.home.cli();
    cli.run(&["load", "first"]).await.succeeded();
    let pid = u32::try_from(daemon.ps("first").await.unwrap()["pid"].as_u64().unwrap()).unwrap();

    let estimate = cli.json(&["models", "estimate", "second"]).await;
    assert_eq!(
        (&estimate["fits"], &estimate["would_unload"]),
        (&json!(true), &json!(["first"]))
    );
    assert!(daemon.ps("first").await.is_some(), "an estimate unloads nothing");

    let answer = cli.json(&["chat", "second", "Well?"]).await;
    assert_eq!(answer["text"], "yes");
    assert!(!is_alive(pid), "its memory was needed");
    assert_eq!(
        reason_of_last_unload(&daemon, "first").await,
        "evicted_for:second"
    );
    daemon.until_logged("evicted_for:second").await;
    assert!(daemon.ps("first").await.is_none());
    daemon.stop().await;
}

#[tokio::test]
async fn a_busy_model_is_not_touched_and_who_waits_comes_next() {
    let gate = Gate::new();
    let slow = sized("slow", 150).speaks(&["a"; 40]).waits_after(1, &gate);
    let daemon = daemon_with_budget("300MiB", &[slow, sized("next", 150)]).await;
    let cli = daemon.home.cli();
    let first = cli.spawn(&["chat", "slow", "Well?", "--json"]);
    daemon.until_state("slow", Some("BUSY")).await;
    let second = cli.spawn(&["chat", "next", "Well?", "--json"]);
    eventually("the second request is seen to wait", async || {
        let models = cli.json(&["models"]).await;
        models
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["name"] == "next" && row["waiting_requests"] == 1)
    })
    .await;
    assert_eq!(daemon.ps("slow").await.unwrap()["state"], "BUSY");
    gate.open();
    for (child, text) in [(first, "a".repeat(40)), (second, "yes".to_owned())] {
        let output = child.wait_with_output().await.unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["text"], text.as_str(), "{answer}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_cannot_fit_is_refused_with_the_figures() {
    let daemon = daemon_with_budget(
        "200MiB",
        &[sized("huge", 900), sized("small", 100), sized("other", 150)],
    )
    .await;
    let cli = daemon.home.cli();
    let output = cli.run(&["load", "huge", "--json"]).await;
    let error = &output.json()["error"];
    assert_eq!(error["reason"], "out_of_memory", "{error}");
    let figures = &error["figures"];
    assert!(bytes(figures, "required_bytes") >= 900 * MIB, "{error}");
    assert_eq!(bytes(figures, "budget_bytes"), 200 * MIB);
    assert!(daemon.workers().is_empty(), "nothing was started for it");

    cli.run(&["load", "small", "--pin"]).await.succeeded();
    assert_eq!(daemon.ps("small").await.unwrap()["pinned"], json!(true));
    let (_, reason, message) = cli.refusal(&["chat", "other", "Well?"]).await;
    assert_eq!(reason, "out_of_memory");
    assert!(message.contains("small"), "it says what is pinned: {message}");
    assert_eq!(daemon.ps("small").await.unwrap()["state"], "LOADED");
    cli.run(&["load", "small", "--unpin"]).await.succeeded();
    assert_eq!(cli.json(&["chat", "other", "Well?"]).await["text"], "yes");
    daemon.stop().await;
}

#[tokio::test]
async fn a_budget_of_nothing_loads_nothing_and_can_be_raised() {
    let daemon = daemon_with_budget("0", &[sized("tiny", 20)]).await;
    let cli = daemon.home.cli();
    assert_eq!(cli.refusal(&["load", "tiny"]).await.1, "out_of_memory");
    for bad in ["200%", "much", "-1"] {
        assert_ne!(cli.run(&["memory", "budget", "cpu", bad]).await.code, 0, "{bad}");
    }
    daemon
        .home
        .configure("# mine\n[memory]\ncpu_budget = \"1%\" # small\n");
    cli.run(&["memory", "budget", "cpu", "500MiB"]).await.succeeded();
    cli.run(&["load", "tiny"]).await.succeeded();
    let settings = std::fs::read_to_string(daemon.home.path().join("config/config.toml")).unwrap();
    assert!(
        settings.contains("cpu_budget = \"500MiB\"") && settings.contains("# mine"),
        "{settings}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn everything_idle_can_be_taken_back_at_once() {
    let busy = sized("busy", 20).speaks(&["a"; 2]).hangs_after(1);
    let daemon = Daemon::with_models(&[sized("idle", 20), sized("kept", 20), busy]).await;
    let cli = daemon.home.cli();
    cli.run(&["load", "idle"]).await.succeeded();
    cli.run(&["load", "kept", "--pin"]).await.succeeded();
    let answer = cli.spawn(&["chat", "busy", "Well?", "--json"]);
    daemon.until_state("busy", Some("BUSY")).await;
    let freed = cli.json(&["free"]).await;
    assert_eq!(freed["unloaded"], json!(["idle"]));
    assert!(bytes(&freed, "freed_bytes") >= 20 * MIB);
    assert_eq!(reason_of_last_unload(&daemon, "idle").await, "freed");
    assert_eq!(cli.json(&["free", "--pinned"]).await["unloaded"], json!(["kept"]));
    assert_eq!(daemon.ps("busy").await.unwrap()["state"], "BUSY");
    drop(answer);
    daemon.stop().await;
}

#[tokio::test]
async fn a_hundred_callers_of_a_hundred_models_are_all_served_within_the_budget() {
    let models: Vec<FakeModel> = (0..100).map(|number| sized(&format!("m{number}"), 8)).collect();
    let daemon = daemon_with_budget("120MiB", &models).await;
    let cli = daemon.home.cli();
    let calls: Vec<_> = models
        .iter()
        .map(|model| cli.spawn(&["chat", &model.name, "Well?", "--json"]))
        .collect();
    let mut most = 0;
    let mut answers = Vec::new();
    for call in calls {
        most = most.max(daemon.workers().len());
        answers.push(call.wait_with_output().await.unwrap());
    }
    for output in answers {
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["text"], "yes", "{answer}");
    }
    assert!(most <= 6, "{most} models of 20 MiB at once in 120 MiB");
    daemon.stop().await;
}

#[tokio::test]
async fn a_load_the_system_kills_is_tried_once_more() {
    let dying = sized("dying", 30).with("kill_on_load_times", 1);
    let hopeless = sized("hopeless", 30).with("kill_on_load_times", 5);
    let daemon = Daemon::with_models(&[dying, hopeless]).await;
    let cli = daemon.home.cli();
    assert_eq!(cli.json(&["chat", "dying", "Well?"]).await["text"], "yes");
    // The first load and the second one, with what came between.
    daemon.until_logged(r#""to":"LOADED""#).await;
    assert_eq!(daemon.home.log().matches("tried again with more room").count(), 1);
    assert_eq!(cli.refusal(&["load", "hopeless"]).await.1, "worker_crashed");
    daemon.stop().await;
}

#[tokio::test]
async fn what_a_load_took_is_known_after_a_restart() {
    let understated = sized("tiny", 120).with("estimate_bytes", 10 * MIB);
    let mut daemon = Daemon::with_models(&[understated]).await;
    let cli = daemon.home.cli();
    let before = cli.json(&["models", "estimate", "tiny"]).await;
    assert_eq!(before["learned"], json!(false));
    assert!(bytes(&before, "total_bytes") < 100 * MIB, "{before}");
    cli.run(&["load", "tiny"]).await.succeeded();
    cli.run(&["unload", "tiny"]).await.succeeded();
    let after = cli.json(&["models", "estimate", "tiny"]).await;
    assert_eq!(after["learned"], json!(true));
    assert!(bytes(&after, "total_bytes") >= 120 * MIB, "{after}");
    cli.run(&["stop"]).await.succeeded();
    daemon.ended().await;
    daemon.start_again().await;
    let known = daemon.home.cli().json(&["models", "estimate", "tiny"]).await;
    assert_eq!(
        (&known["learned"], &known["total_bytes"]),
        (&json!(true), &after["total_bytes"])
    );
    daemon.stop().await;
}

#[tokio::test]
async fn models_named_in_the_settings_are_there_from_the_start() {
    let mut daemon = Daemon::with_models(&[sized("tiny", 10), sized("large", 150)]).await;
    daemon.home.cli().run(&["stop"]).await.succeeded();
    daemon.ended().await;
    daemon.home.configure(
        "[models]\npreload = [\"tiny\", \"large\", \"nobody\"]\n[memory]\ncpu_budget = \"120MiB\"\n",
    );
    daemon.start_again().await;
    daemon.until_state("tiny", Some("LOADED")).await;
    let row = daemon.ps("tiny").await.unwrap();
    assert_eq!(
        (&row["loaded_for"], &row["expires_at"]),
        (&json!("preload"), &Value::Null)
    );
    eventually("what does not fit is said", async || {
        let log = daemon.home.log();
        log.contains("not loaded at the start")
            && log.contains("model_not_found")
            && log.contains("out_of_memory")
    })
    .await;
    assert!(daemon.ps("large").await.is_none());
    daemon.stop().await;
}

#[tokio::test]
async fn use_is_counted_and_told() {
    let daemon = Daemon::with_models(&[sized("tiny", 10)]).await;
    let cli = daemon.home.cli();
    for _ in 0..3 {
        cli.run(&["chat", "tiny", "One two three"]).await.succeeded();
    }
    cli.run(&["unload", "tiny"]).await.succeeded();
    let stats = cli.json(&["stats"]).await;
    let rows = stats
        .as_array()
        .or_else(|| stats["models"].as_array())
        .expect("rows");
    let row = rows
        .iter()
        .find(|row| row["model"] == "tiny")
        .expect("it was used");
    assert_eq!((&row["loads"], &row["requests"]), (&json!(1), &json!(3)), "{row}");
    assert!(row["completion_tokens"].as_u64().unwrap() >= 3, "{row}");
    assert!(bytes(row, "peak_memory_bytes") >= 10 * MIB, "{row}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_package_deleted_under_a_loaded_model_harms_nobody_until_it_is_loaded_again() {
    let daemon = Daemon::with_models(&[sized("tiny", 10)]).await;
    let cli = daemon.home.cli();
    cli.run(&["load", "tiny"]).await.succeeded();
    std::fs::remove_dir_all(daemon.home.path().join("data/models/tiny")).unwrap();
    assert_eq!(cli.json(&["chat", "tiny", "Well?"]).await["text"], "yes");
    cli.run(&["unload", "tiny"]).await.succeeded();
    let (_, reason, message) = cli.refusal(&["load", "tiny"]).await;
    assert_eq!(reason, "model_invalid", "{message}");
    daemon.stop().await;
}

#[tokio::test]
async fn who_says_how_long_it_waits_is_refused_then() {
    let slow = sized("slow", 150).speaks(&["a"; 2]).hangs_after(1);
    let daemon = daemon_with_budget("300MiB", &[slow, sized("next", 150)]).await;
    let cli = daemon.home.cli();
    let first = cli.spawn(&["chat", "slow", "Well?", "--json"]);
    daemon.until_state("slow", Some("BUSY")).await;
    let (_, reason, message) = cli.refusal(&["load", "next", "--max-wait", "1s"]).await;
    assert_eq!(reason, "deadline_exceeded");
    assert!(message.contains("slow"), "it says who has the memory: {message}");
    drop(first);
    tokio::time::timeout(PATIENCE, daemon.stop())
        .await
        .expect("it ends");
}

#[tokio::test]
async fn another_context_loads_an_idle_model_anew_and_a_busy_one_not() {
    let model = sized("tiny", 20).speaks(&["a"; 2]).hangs_after(1);
    let daemon = Daemon::with_models(&[model]).await;
    let cli = daemon.home.cli();
    cli.run(&["load", "tiny"]).await.succeeded();
    cli.run(&["load", "tiny", "--context", "1024"]).await.succeeded();
    assert_eq!(daemon.ps("tiny").await.unwrap()["context_length"], 1024);
    assert_eq!(reason_of_last_unload(&daemon, "tiny").await, "reloaded");
    let answer = cli.spawn(&["chat", "tiny", "Well?", "--json"]);
    daemon.until_state("tiny", Some("BUSY")).await;
    assert_eq!(
        cli.refusal(&["load", "tiny", "--context", "2048"]).await.1,
        "busy"
    );
    assert_eq!(
        cli.refusal(&["load", "tiny", "--context", "100000"]).await.1,
        "invalid_argument"
    );
    assert_eq!(
        cli.refusal(&["load", "tiny", "--level", "2bit"]).await.1,
        "model_incompatible"
    );
    drop(answer);
    daemon.stop().await;
}

#[tokio::test]
async fn a_true_model_under_a_limit_too_low_for_it_is_refused_and_harms_nobody() {
    let mut home = Home::new();
    home.set("AIRUNNER_WORKER_ADDRESS_SPACE_LIMIT", "256MiB");
    let mut daemon = Daemon::start_in(home).await;
    daemon.install(&sized("tiny", 10)).await;
    let package = testdata().join("parity/llama-gqa");
    let import = ["models", "import", package.to_str().unwrap(), "--name", "real"];
    daemon.home.cli().run(&import).await.succeeded();
    let cli = daemon.home.cli();
    let (_, reason, _) = cli.refusal(&["load", "real"]).await;
    assert!(
        ["out_of_memory", "worker_crashed"].contains(&reason.as_str()),
        "{reason}"
    );
    assert!(daemon.workers().is_empty());
    assert_eq!(cli.json(&["chat", "tiny", "Well?"]).await["text"], "yes");
    cli.run(&["stop"]).await.succeeded();
    daemon.ended().await;

    daemon.home.set("AIRUNNER_WORKER_ADDRESS_SPACE_LIMIT", "0");
    daemon.start_again().await;
    daemon.home.cli().run(&["load", "real"]).await.succeeded();
    let row = daemon.ps("real").await.unwrap();
    assert!(
        bytes(&row, "memory_bytes") > 0 && bytes(&row, "estimated_bytes") > 0,
        "{row}"
    );
    daemon.stop().await;
}
