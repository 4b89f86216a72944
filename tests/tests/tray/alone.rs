//! The program by itself: its arguments, a second one, no session.

use std::process::Output;

use airunner_tests::desktop::SessionBus;
use airunner_tests::{Home, PATIENCE};

use crate::support::{Scene, command};

async fn run(command: std::process::Command) -> Output {
    let output = tokio::process::Command::from(command).output();
    tokio::time::timeout(PATIENCE, output)
        .await
        .expect("it ends")
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_second_tray_says_who_is_there_and_leaves() {
    let Some(scene) = Scene::with(&[]).await else {
        return;
    };
    let output = run(command(&scene.daemon.home, &scene.bus)).await;
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    let expected = format!("the tray runs already as process {}", scene.tray.pid());
    assert!(words.contains(&expected), "{words}");
    assert_eq!(scene.watcher.items().len(), 1);
}

#[tokio::test]
async fn without_a_session_it_says_so_and_leaves() {
    let Some(mut bus) = SessionBus::bare().await else {
        return;
    };
    bus.end().await;
    let home = Home::new();
    for address in [None, Some("unix:path=/nowhere/at/all")] {
        let mut command = command(&home, &bus);
        match address {
            None => command.env_remove("DBUS_SESSION_BUS_ADDRESS"),
            Some(address) => command.env("DBUS_SESSION_BUS_ADDRESS", address),
        };
        let output = run(command).await;
        let words = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains("there is no desktop session"), "{words}");
    }
}

#[tokio::test]
async fn its_arguments_are_few_and_checked() {
    let home = Home::new();
    for (argument, code, stdout, stderr) in [
        ("--help", 0, "Usage: airunner-tray", ""),
        ("--version", 0, "airunner-tray ", ""),
        ("--frobnicate", 2, "", "--frobnicate is not understood"),
    ] {
        let mut command = home.command(airunner_tests::binary("airunner-tray"));
        command.arg(argument);
        let output = run(command).await;
        assert_eq!(output.status.code(), Some(code));
        assert!(text(&output.stdout).contains(stdout));
        assert!(text(&output.stderr).contains(stderr));
    }
}
