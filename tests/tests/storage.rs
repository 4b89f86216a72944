//! The database behind the true daemon.

#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::path::PathBuf;
use std::process::Stdio;

use airunner_tests::{Daemon, FakeModel, Home};

fn database(home: &Home) -> PathBuf {
    home.path().join("data").join("airunner.db")
}

/// Starts the daemon and gives what it said when it refused.
async fn refusal(home: &Home) -> String {
    let mut command = tokio::process::Command::from(home.daemon_command());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    assert!(!output.status.success(), "it started: {}", home.log());
    String::from_utf8_lossy(&output.stderr).into_owned() + &home.log()
}

#[tokio::test]
async fn a_database_of_a_newer_program_or_a_damaged_one_is_left_alone() {
    let daemon = Daemon::start().await;
    let path = database(&daemon.home);
    assert!(path.is_file());
    let mut daemon = daemon;
    daemon.home.cli().run(&["stop"]).await.succeeded();
    daemon.ended().await;
    let sound = std::fs::read(&path).unwrap();

    // The version stands in the header, at byte 60.
    let mut newer = sound.clone();
    newer[60..64].copy_from_slice(&4711_u32.to_be_bytes());
    let mut damaged = sound.clone();
    damaged[4096..].fill(0xa5);
    for (bytes, expected) in [
        (newer, "belongs to a newer AI Runner: it has version 4711"),
        (damaged, "is damaged"),
        (b"not a database".to_vec(), "is damaged (it is not a database)"),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let said = refusal(&daemon.home).await;
        assert!(
            said.contains(expected) && said.contains("left as it is"),
            "{said}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    std::fs::write(&path, sound).unwrap();
    daemon.start_again().await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_was_counted_outlives_the_daemon_however_it_ends() {
    const KILL: i32 = 9;
    let mut daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["a", "b", "c"])]).await;
    let tiny = async |daemon: &Daemon| {
        let rows = daemon.home.cli().json(&["stats"]).await;
        let row = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["model"] == "tiny")
            .cloned();
        row.unwrap_or_default()
    };
    for _ in 0..3 {
        daemon
            .home
            .cli()
            .run(&["chat", "tiny", "Well?"])
            .await
            .succeeded();
    }
    let told = tiny(&daemon).await;
    assert_eq!(
        (&told["requests"], &told["loads"]),
        (&3.into(), &1.into()),
        "{told}"
    );
    assert_eq!(told["completion_tokens"], 9, "{told}");
    daemon.end_by(KILL).await;
    daemon.start_again().await;
    let kept = tiny(&daemon).await;
    assert_eq!(
        (&kept["requests"], &kept["completion_tokens"]),
        (&3.into(), &9.into()),
        "{kept}"
    );

    daemon
        .home
        .cli()
        .run(&["chat", "tiny", "Well?"])
        .await
        .succeeded();
    daemon.home.cli().run(&["stop"]).await.succeeded();
    daemon.ended().await;
    assert_eq!(
        daemon
            .home
            .files_in("data")
            .iter()
            .filter(|name| name.starts_with("airunner.db"))
            .count(),
        1
    );
    daemon.start_again().await;
    assert_eq!(tiny(&daemon).await["requests"], 4);
    daemon.stop().await;
}
