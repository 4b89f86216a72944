//! The contract of `airunner chat`, and cancelling.

use airunner_tests::{Daemon, FakeModel, send_signal};

const SIGINT: i32 = 2;

#[tokio::test]
async fn text_streams_to_standard_output_and_json_is_one_object() {
    let model = FakeModel::new("tiny").speaks(&["Once", " upon", " a", " time"]);
    let daemon = Daemon::with_models(&[model]).await;
    let cli = daemon.home.cli();

    let plain = cli.run(&["chat", "tiny", "Tell me"]).await.succeeded();
    assert_eq!(plain.stdout.trim_end(), "Once upon a time");

    let answer = cli.json(&["chat", "tiny", "Tell me", "--max-tokens", "3"]).await;
    assert_eq!(answer["text"], "Once upon a");
    assert_eq!(answer["finish_reason"], "length");
    for field in ["prompt_tokens", "cached_tokens", "completion_tokens"] {
        assert!(answer["usage"][field].is_u64(), "{field}: {answer}");
    }
    assert_eq!(answer["usage"]["completion_tokens"], 3);
    for field in [
        "queue_ms",
        "load_ms",
        "prompt_ms",
        "first_token_ms",
        "decode_ms",
        "prompt_tokens_per_second",
        "tokens_per_second",
    ] {
        assert!(answer["timings"][field].is_number(), "{field}: {answer}");
    }

    let stopped = cli.json(&["chat", "tiny", "Tell me", "--stop", "upon"]).await;
    assert_eq!(
        (stopped["text"].as_str(), stopped["finish_reason"].as_str()),
        (Some("Once "), Some("stop"))
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_prompt_can_come_from_standard_input() {
    let daemon = Daemon::with_models(&[FakeModel::new("echo")]).await;
    let cli = daemon.home.cli();
    let output = cli
        .run_with_input(&["chat", "echo", "-", "--raw"], "from a pipe\nof two lines")
        .await
        .succeeded();
    assert_eq!(output.stdout.trim_end(), "from a pipe\nof two lines");
    daemon.stop().await;
}

#[tokio::test]
async fn control_c_cancels_the_request_and_not_the_daemon() {
    let model = FakeModel::new("tiny").speaks(&["word "; 9]).hangs_after(5);
    let daemon = Daemon::with_models(&[model]).await;
    let chat = daemon.home.cli().spawn(&["chat", "tiny", "Well?", "--json"]);
    daemon.until_state("tiny", Some("BUSY")).await;
    send_signal(chat.id().unwrap(), SIGINT);
    let output = chat.wait_with_output().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["finish_reason"], "cancelled", "{answer}");
    daemon.until_state("tiny", Some("LOADED")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_no_model_could_follow_is_refused_with_a_reason() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny")]).await;
    let cli = daemon.home.cli();
    let cases: [(&[&str], i32, &str); 9] = [
        (&["chat", "tiny", ""], 1, "invalid_argument"),
        (
            &["chat", "tiny", "x", "--temperature", "-1"],
            1,
            "invalid_argument",
        ),
        (
            &["chat", "tiny", "x", "--temperature", "NaN"],
            1,
            "invalid_argument",
        ),
        (&["chat", "tiny", "x", "--max-tokens", "0"], 1, "invalid_argument"),
        (&["chat", "tiny", "x", "--stop", ""], 1, "invalid_argument"),
        (&["chat", "nobody", "x"], 1, "model_not_found"),
        (&["chat", "../tiny", "x"], 1, "invalid_argument"),
        (&["load", "/etc"], 1, "invalid_argument"),
        (&["models", "show", ".."], 1, "invalid_argument"),
    ];
    for (arguments, code, reason) in cases {
        let (got_code, got_reason, message) = cli.refusal(arguments).await;
        assert_eq!(
            (got_code, got_reason.as_str()),
            (code, reason),
            "{arguments:?}: {message}"
        );
        assert!(message.len() > 20, "says what to do: {message}");
    }
    let usage = cli.run(&["chat", "tiny", "x", "--top-k", "many"]).await;
    assert_eq!(usage.code, 2, "{usage:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn without_a_daemon_the_exit_code_is_three() {
    let home = airunner_tests::Home::new();
    for arguments in [
        &["ps"][..],
        &["models"],
        &["chat", "tiny", "x"],
        &["stop"],
        &["status"],
    ] {
        let output = home.cli().run(arguments).await;
        assert_eq!(output.code, 3, "{output:?}");
    }
    let status = home.cli().run(&["status", "--json"]).await;
    assert_eq!(
        (status.code, &status.json()["running"]),
        (3, &serde_json::json!(false))
    );
}
