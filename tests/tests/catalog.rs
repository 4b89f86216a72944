//! Known models, without a network.

#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use airunner_tests::{Daemon, FakeModel, Home, eventually};
use serde_json::{Value, json};

/// A home whose daemon may ask nothing of the network.
fn offline() -> Home {
    let mut home = Home::new();
    home.set("AIRUNNER_DOWNLOADS_OFFLINE", "true");
    home
}

fn names(rows: &Value) -> Vec<&str> {
    let rows = rows.as_array().unwrap();
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
}

const MINE: &str = r#"
version = 1

[[models]]
name = "tiny"
aliases = ["My Smallest"]
modality = "chat"
description = "Made at home"
repository = "me/tiny"
license = "MIT"
parameters = 0.001
context = 1024
variants = [{ level = "8bit", files = ["onnx/model_int8.onnx"], size = "2MB" }]
"#;

#[tokio::test]
async fn models_of_every_kind_are_known_without_a_network() {
    let daemon = Daemon::start_in(offline()).await;
    let cli = daemon.home.cli();
    let all = cli.json(&["models", "catalog"]).await;
    for modality in ["chat", "embedding", "image", "speech_to_text", "text_to_speech"] {
        let rows = all.as_array().unwrap().iter();
        assert!(
            rows.filter(|row| row["modality"] == modality).count() > 1,
            "{modality}"
        );
    }
    let found = cli.json(&["models", "catalog", "qwen", "0.5b"]).await;
    let row = found
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "qwen2.5-0.5b")
        .unwrap();
    assert_eq!(row["repository"], "onnx-community/Qwen2.5-0.5B-Instruct");
    assert_eq!(
        (&row["runnable"], &row["verified"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(row["installed"], Value::Null);
    let variant = &row["variants"][0];
    assert!(
        variant["memory_bytes"].as_u64() > variant["size_bytes"].as_u64(),
        "{variant}"
    );
    assert_eq!(cli.json(&["models", "catalog", "no such model"]).await, json!([]));
    let table = cli.run(&["models", "catalog", "whisper"]).await.succeeded();
    assert!(table.stdout.contains("whisper-tiny"), "{table:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn what_fits_follows_the_budget() {
    let mut home = offline();
    home.set("AIRUNNER_MEMORY_CPU_BUDGET", "0");
    home.set("AIRUNNER_MEMORY_GPU_BUDGET", "0");
    let daemon = Daemon::start_in(home).await;
    let cli = daemon.home.cli();
    let all = cli.json(&["models", "catalog"]).await;
    for row in all.as_array().unwrap() {
        assert_eq!(row["fits"], Value::Null, "{row}");
        assert!(
            row["variants"]
                .as_array()
                .unwrap()
                .iter()
                .all(|variant| variant["fits"] == false)
        );
    }
    daemon.stop().await;

    let daemon = Daemon::start_in(offline()).await;
    let rows = daemon
        .home
        .cli()
        .json(&["models", "catalog", "smollm2-135m"])
        .await;
    assert!(rows[0]["fits"].is_string(), "{rows}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_user_s_own_list_counts_at_once_and_its_errors_are_named() {
    let daemon = Daemon::start_in(offline()).await;
    daemon.install(&FakeModel::new("tiny")).await;
    let cli = daemon.home.cli();
    let list = daemon.home.path().join("config").join("models.toml");
    let shipped = cli.json(&["models", "catalog"]).await.as_array().unwrap().len();

    std::fs::write(&list, MINE).unwrap();
    let rows = cli.json(&["models", "catalog", "at home"]).await;
    assert_eq!(names(&rows), ["tiny"]);
    assert_eq!(
        (&rows[0]["from_user"], &rows[0]["installed"]),
        (&json!(true), &json!("tiny"))
    );

    let bad = MINE.replace("8bit", "7bit").replace("\"tiny\"", "\"other\"");
    std::fs::write(&list, format!("{MINE}{}", bad.replace("version = 1", ""))).unwrap();
    let rows = cli.json(&["models", "catalog"]).await;
    assert_eq!(rows.as_array().unwrap().len(), shipped + 1, "the rest is used");
    let complaint = "models.toml line 26: the entry \\\"other\\\" is left out: variants have the level";
    eventually("the error is in the log", async || {
        daemon.home.log().contains(complaint)
    })
    .await;

    std::fs::write(&list, "version = 1\n[[models\n").unwrap();
    let rows = cli.json(&["models", "catalog"]).await;
    assert_eq!(
        rows.as_array().unwrap().len(),
        shipped,
        "a file that is no TOML is left out"
    );
    eventually("its line is in the log", async || {
        daemon.home.log().contains("models.toml line 2: this is not TOML")
    })
    .await;
    let mut daemon = daemon;
    daemon.home.cli().run(&["stop"]).await.succeeded();
    daemon.ended().await;
    daemon.start_again().await;
    assert_eq!(
        daemon
            .home
            .cli()
            .json(&["models", "catalog"])
            .await
            .as_array()
            .unwrap()
            .len(),
        shipped
    );
    daemon.stop().await;
}
