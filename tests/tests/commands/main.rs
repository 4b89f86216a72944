//! The command against a daemon that says exactly what the test wants.

#![cfg(unix)]

use std::process::{Command, Output};

use airunner_core::{ErrorKind, Fault};
use airunner_proto::convert::status_from_fault;
use airunner_proto::v1;
use serde_json::{Value, json};

mod support;

use support::{Daemon, Script};

fn stdout(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn model() -> v1::Model {
    v1::Model {
        name: "owner/qwen".into(),
        kind: "llm".into(),
        state: v1::ModelState::Loaded.into(),
        source: "hub:owner/qwen@0123".into(),
        ..v1::Model::default()
    }
}

fn running() -> v1::PullResponse {
    let download = v1::Download {
        id: 3,
        name: "owner/qwen".into(),
        state: "running".into(),
        ..v1::Download::default()
    };
    v1::PullResponse {
        event: Some(v1::pull_response::Event::Progress(download)),
    }
}

#[test]
fn ctrl_c_pauses_a_pull_and_says_how_to_go_on() {
    let (pulling, mut is_pulling) = tokio::sync::mpsc::channel(1);
    let script = Script {
        pull: vec![Ok(running())],
        pulling: Some(pulling),
        ..Script::default()
    };
    let daemon = Daemon::start(script.clone());
    let command = daemon
        .command("models pull owner/qwen --level 4bit --json")
        .spawn()
        .unwrap();
    is_pulling.blocking_recv().unwrap();
    let status = Command::new("kill")
        .args(["-2", &command.id().to_string()])
        .status();
    assert!(status.unwrap().success());
    let output = command.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let error = &stdout(&output)["error"];
    assert_eq!(error["reason"], "cancelled");
    assert!(
        error["message"].as_str().unwrap().contains("same command again"),
        "{error}"
    );
    assert_eq!(script.asked(), ["pull owner/qwen 4bit", "pause 3"]);
}

#[test]
fn a_pull_that_is_left_to_the_daemon_returns_at_once_and_is_not_paused() {
    let script = Script {
        pull: vec![Ok(running())],
        ..Script::default()
    };
    let daemon = Daemon::start(script.clone());
    let output = daemon.run("models pull owner/qwen --detach --json");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stdout(&output)["id"], 3);
    assert_eq!(script.asked(), ["pull owner/qwen "]);
}

#[test]
fn a_pull_ends_with_the_installed_model_or_with_why_it_did_not() {
    let installed = v1::PullResponse {
        event: Some(v1::pull_response::Event::Installed(model())),
    };
    let daemon = Daemon::start(Script {
        pull: vec![Ok(running()), Ok(installed)],
        ..Script::default()
    });
    let output = daemon.run("models pull owner/qwen --json");
    assert_eq!(stdout(&output)["source"], "hub:owner/qwen@0123");

    let full = Fault::new(ErrorKind::DiskFull, "no space").figure("required_bytes", 9);
    let daemon = Daemon::start(Script {
        pull: vec![Ok(running()), Err(status_from_fault(&full))],
        ..Script::default()
    });
    let output = daemon.run("--json models pull owner/qwen");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        json!({ "error": { "reason": "disk_full", "message": "no space", "figures": { "required_bytes": 9 } } })
    );
}

#[test]
fn the_options_of_a_load_arrive_and_waiting_does_not_disturb_its_answer() {
    use v1::load_model_response::Event;
    let event = |event| Ok(v1::LoadModelResponse { event: Some(event) });
    let queued = v1::Queued {
        position: 2,
        estimated_wait_ms: Some(30_000),
        reason: "other is in use".into(),
    };
    let script = Script {
        load: vec![event(Event::Queued(queued)), event(Event::Loaded(model()))],
        ..Script::default()
    };
    let daemon = Daemon::start(script.clone());
    let output = daemon.run("load owner/qwen --pin --context 4096 --level fp16 --max-wait 30s --json");
    assert_eq!(stdout(&output)["model"], "owner/qwen");
    assert_eq!(
        script.asked(),
        ["load owner/qwen Some(true) Some(4096) fp16 Some(30000) PRIORITY_API"]
    );
}

#[test]
fn a_damaged_model_is_a_failure_until_it_is_repaired() {
    for (line, repaired, code) in [
        ("models verify owner/qwen --json", false, 1),
        ("models repair owner/qwen --json", true, 0),
    ] {
        let problem = v1::FileProblem {
            path: "model.onnx".into(),
            problem: "missing".into(),
            repaired,
        };
        let finished = v1::VerifyFinished {
            problems: vec![problem],
        };
        let script = Script {
            verify: vec![v1::VerifyModelResponse {
                event: Some(v1::verify_model_response::Event::Finished(finished)),
            }],
            ..Script::default()
        };
        let output = Daemon::start(script.clone()).run(line);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(stdout(&output)["ok"], repaired);
        assert_eq!(script.asked(), [format!("verify {repaired}")]);
    }
}

#[test]
fn a_download_is_listed_paused_resumed_and_cancelled() {
    let script = Script::default();
    let daemon = Daemon::start(script.clone());
    assert_eq!(stdout(&daemon.run("downloads --json"))[0]["state"], "running");
    for (line, state) in [
        ("downloads pause 3 --json", "paused"),
        ("downloads resume 3 --json", "queued"),
        ("downloads cancel 3 --json", "cancelled"),
    ] {
        assert_eq!(stdout(&daemon.run(line))["state"], state, "{line}");
    }
    assert_eq!(script.asked(), ["pause 3", "resume 3", "cancel 3"]);
}
