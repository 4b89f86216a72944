//! How fast a model is, as `airunner bench` says it.

use airunner_tests::{Daemon, FakeModel, Home, send_signal};
use serde_json::Value;

const INTERRUPT: i32 = 2;

fn positive(figures: &Value, path: &str) {
    let figure = figures.pointer(path).and_then(Value::as_f64);
    assert!(figure.is_some_and(|figure| figure > 0.0), "{path}: {figures}");
}

#[tokio::test]
async fn every_figure_of_the_built_in_model_is_there() {
    let daemon = Daemon::start().await;
    let cli = daemon.home.cli();
    let figures = cli.json(&["bench", "builtin/helper"]).await;
    assert_eq!(figures["model"], "builtin/helper");
    for path in [
        "/prompt_tokens",
        "/prompt_tokens_per_second",
        "/tokens_per_second/1",
        "/tokens_per_second/4",
        "/tokens_per_second/8",
        "/first_token_ms/cold",
        "/first_token_ms/warm",
        "/load_ms",
        "/memory_bytes",
        "/memory_bandwidth_bytes_per_second",
        "/bandwidth_fraction",
    ] {
        positive(&figures, path);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_loaded_model_is_measured_as_it_was_loaded_and_stays() {
    let mut home = Home::new();
    // No faster copy takes its place meanwhile.
    home.set("AIRUNNER_MODELS_PREPACKED_CACHE", "0");
    let daemon = Daemon::start_in(home).await;
    let cli = daemon.home.cli();
    let load = ["load", "builtin/helper", "--pin", "--context", "96"];
    cli.run(&load).await.succeeded();
    let output = cli.run(&["bench", "builtin/helper"]).await.succeeded();
    assert!(output.stdout.contains("prompt of 48 tokens"), "{output:?}");
    assert!(output.stdout.contains("8 answers at once"), "{output:?}");
    let row = daemon.ps("builtin/helper").await.unwrap();
    assert_eq!(
        (&row["pinned"], &row["state"]),
        (&Value::from(true), &Value::from("LOADED"))
    );
    daemon.stop().await;
}

#[tokio::test]
async fn ctrl_c_cancels_what_is_being_measured() {
    let daemon = Daemon::with_models(&[FakeModel::new("slow")
        .speaks(&["word "; 2000])
        .token_every_ms(200)])
    .await;
    let cli = daemon.home.cli();
    let child = cli.spawn(&["bench", "slow", "--json"]);
    daemon.until_state("slow", Some("BUSY")).await;
    send_signal(child.id().unwrap(), INTERRUPT);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["error"]["reason"], "cancelled");
    daemon.until_state("slow", Some("LOADED")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_cannot_be_measured_is_refused() {
    let daemon = Daemon::start().await;
    let cli = daemon.home.cli();
    let (code, reason, _) = cli.refusal(&["bench", "nothing"]).await;
    assert_eq!((code, reason.as_str()), (1, "model_not_found"));
    daemon.stop().await;
    let home = Home::new();
    let (code, reason, _) = home.cli().refusal(&["bench", "nothing"]).await;
    assert_eq!((code, reason.as_str()), (3, "daemon_not_running"));
}
