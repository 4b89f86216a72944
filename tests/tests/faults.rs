//! Crashes and strangers: whatever breaks, breaks alone.

use std::os::unix::fs::PermissionsExt;

use airunner_tests::{Daemon, FakeModel, Gate, Home, eventually, is_alive, send_signal};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

#[tokio::test]
async fn a_dying_worker_is_an_event_with_a_reason_and_nobody_elses_end() {
    let model = FakeModel::new("tiny").speaks(&["word "; 9]).hangs_after(5);
    let daemon = Daemon::with_models(&[model, FakeModel::new("other").speaks(&["fine"])]).await;
    let cli = daemon.home.cli();
    cli.run(&["load", "other"]).await.succeeded();
    let chat = cli.spawn(&["chat", "tiny", "Well?", "--json"]);
    daemon.until_state("tiny", Some("BUSY")).await;
    let pid = daemon.ps("tiny").await.unwrap()["pid"].as_u64().unwrap();
    send_signal(u32::try_from(pid).unwrap(), SIGKILL);
    let output = chat.wait_with_output().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["error"]["reason"], "worker_crashed", "{answer}");
    daemon.until_state("tiny", None).await;
    assert_eq!(cli.json(&["chat", "other", "Well?"]).await["text"], "fine");
    daemon.stop().await;
}

#[tokio::test]
async fn a_model_that_keeps_crashing_is_left_alone_for_a_while() {
    let daemon = Daemon::with_models(&[FakeModel::new("bad").crashes_on_load()]).await;
    let cli = daemon.home.cli();
    for _ in 0..3 {
        assert_eq!(cli.refusal(&["load", "bad"]).await.1, "worker_crashed");
    }
    let (_, reason, message) = cli.refusal(&["load", "bad"]).await;
    assert_eq!(reason, "circuit_open");
    assert!(message.contains("again in"), "says when: {message}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_crash_in_the_middle_of_an_answer_keeps_what_was_said() {
    let model = FakeModel::new("tiny")
        .speaks(&["one ", "two ", "three "])
        .token_every_ms(100)
        .crashes_after(2);
    let daemon = Daemon::with_models(&[model]).await;
    let output = daemon.home.cli().run(&["chat", "tiny", "Count"]).await;
    assert_eq!(output.code, 1);
    assert!(output.stdout.starts_with("one"), "{output:?}");
    assert!(output.stderr.contains("worker"), "{output:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn not_a_number_from_the_model_fails_that_request_only() {
    let daemon = Daemon::with_models(&[FakeModel::new("nan").computes_nan()]).await;
    assert_eq!(
        daemon.home.cli().refusal(&["chat", "nan", "x"]).await.1,
        "model_faulty"
    );
    daemon.until_state("nan", Some("LOADED")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn workers_die_with_a_killed_daemon_and_the_next_one_starts() {
    let model = FakeModel::new("tiny").speaks(&["word "; 9]).hangs_after(5);
    let mut daemon = Daemon::with_models(&[model]).await;
    let chat = daemon.home.cli().spawn(&["chat", "tiny", "Well?", "--json"]);
    daemon.until_state("tiny", Some("BUSY")).await;
    let workers = daemon.workers();
    daemon.end_by(SIGKILL).await;
    eventually("the workers are gone", async || {
        workers.iter().all(|&pid| !is_alive(pid))
    })
    .await;
    assert!(!chat.wait_with_output().await.unwrap().status.success());

    daemon.start_again().await;
    assert_eq!(
        daemon
            .home
            .cli()
            .json(&["chat", "tiny", "x", "--max-tokens", "1"])
            .await["text"],
        "word "
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_second_daemon_in_the_same_home_gives_way() {
    let daemon = Daemon::start().await;
    let output = tokio::process::Command::from(daemon.home.daemon_command())
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("runs already") && said.contains(&daemon.pid().to_string()),
        "{said}"
    );
    assert_eq!(daemon.home.cli().json(&["status"]).await["pid"], daemon.pid());
    daemon.stop().await;
}

#[tokio::test]
async fn two_daemons_run_side_by_side() {
    let one = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["one"])]).await;
    let two = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["two"])]).await;
    assert_eq!(one.home.cli().json(&["chat", "tiny", "x"]).await["text"], "one");
    assert_eq!(two.home.cli().json(&["chat", "tiny", "x"]).await["text"], "two");
    one.stop().await;
    assert_eq!(two.home.cli().json(&["chat", "tiny", "x"]).await["text"], "two");
    two.stop().await;
}

#[tokio::test]
async fn another_user_is_kept_out() {
    let daemon = Daemon::start().await;
    let socket = daemon.home.cli().json(&["status"]).await["socket"]
        .as_str()
        .unwrap()
        .to_owned();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let socket = std::path::Path::new(&socket);
    assert_eq!((mode(socket), mode(socket.parent().unwrap())), (0o600, 0o700));

    if !nix_is_root() {
        eprintln!("SKIPPED: only root can become another user; the file modes were checked");
        return daemon.stop().await;
    }
    // Even where the files let somebody in, the daemon does not.
    for path in socket
        .ancestors()
        .take_while(|path| path.starts_with(daemon.home.path()))
    {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut command = daemon.home.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command
        .arg(airunner_tests::binary("airunner"))
        .args(["status", "--json"]);
    let output = tokio::process::Command::from(command).output().await.unwrap();
    assert!(
        !output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    eventually("the refusal is logged", async || {
        daemon
            .home
            .log()
            .lines()
            .any(|line| line.contains("65534") && line.contains("refused"))
    })
    .await;
    daemon.stop().await;
}

fn nix_is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

#[tokio::test]
async fn a_termination_signal_lets_the_answer_finish() {
    let gate = Gate::new();
    let model = FakeModel::new("tiny").speaks(&["a"; 30]).waits_after(1, &gate);
    let mut home = Home::new();
    home.set("AIRUNNER_DAEMON_GRACE_SECONDS", "300");
    let mut daemon = Daemon::start_in(home).await;
    daemon.install(&model).await;
    let chat = daemon.home.cli().spawn(&["chat", "tiny", "Well?", "--json"]);
    daemon.until_state("tiny", Some("BUSY")).await;
    send_signal(daemon.pid(), SIGTERM);
    daemon.until_logged("the daemon was asked to end").await;
    gate.open();
    let status = daemon.ended().await;
    assert!(status.success(), "{status}");
    let output = chat.wait_with_output().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["text"], "a".repeat(30), "{answer}");
    assert_eq!(
        daemon.home.files_in("run"),
        Vec::<String>::new(),
        "nothing is left behind"
    );
}

#[tokio::test]
async fn a_wrong_setting_is_named_with_its_line_and_starts_nothing() {
    for (text, expected) in [
        (
            "[models]\nkeep_alive = \"sometimes\"\n",
            ["config.toml", "2", "keep_alive"],
        ),
        (
            "[models]\nkeep_alife = \"5m\"\n",
            ["config.toml", "2", "keep_alife"],
        ),
        ("[runtime\n", ["config.toml", "1", "]"]),
    ] {
        let home = Home::new();
        home.configure(text);
        let output = tokio::process::Command::from(home.daemon_command())
            .output()
            .await
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            expected.iter().all(|word| said.contains(word)),
            "{text:?}: {said}"
        );
    }
}

#[tokio::test]
async fn prompts_and_answers_are_in_no_log() {
    let mut home = Home::new();
    home.set("AIRUNNER_LOG_LEVEL", "debug");
    let daemon = Daemon::start_in(home).await;
    daemon
        .install(&FakeModel::new("tiny").speaks(&["a-secret-answer"]))
        .await;
    let output = daemon
        .home
        .cli()
        .run(&["chat", "tiny", "a-secret-question"])
        .await
        .succeeded();
    assert_eq!(output.stdout.trim_end(), "a-secret-answer");
    daemon.until_logged("LOADED").await;
    assert!(!daemon.home.log().contains("a-secret"), "{}", daemon.home.log());
    daemon.stop().await;
}
