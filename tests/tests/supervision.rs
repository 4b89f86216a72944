//! The daemon under a service manager, which the test plays: what it is handed and what it tells.
//! With a true one it is run by the scenarios in a booted machine.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::process::{Output, Stdio};

use airunner_tests::{Daemon, Home, PATIENCE, binary, eventually, send_signal};
use tokio::net::UnixDatagram;
use tokio::process::Child;
use tokio::sync::mpsc::{Receiver, channel};

const TERMINATE: i32 = 15;

/// Hears what the daemon tells: at once, because what does not fit into the socket is lost.
struct Manager(Receiver<String>);

impl Manager {
    /// From here on every daemon of this home has one.
    fn of(home: &mut Home) -> Self {
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        home.set("NOTIFY_SOCKET", path.to_str().unwrap());
        home.set("WATCHDOG_USEC", "400000");
        let (heard, notices) = channel(10_000);
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok(length) = socket.recv(&mut buffer).await {
                let notice = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if heard.send(notice).await.is_err() {
                    return;
                }
            }
        });
        Self(notices)
    }

    async fn next(&mut self) -> String {
        let next = tokio::time::timeout(PATIENCE, self.0.recv()).await;
        next.expect("the daemon tells something").expect("it is heard")
    }

    /// Waits for a notice that begins so.
    async fn hears(&mut self, beginning: &str) -> String {
        loop {
            let notice = self.next().await;
            if notice.starts_with(beginning) {
                return notice;
            }
        }
    }
}

#[tokio::test]
async fn the_manager_hears_of_the_start_of_what_goes_on_and_of_the_end() {
    let mut home = Home::new();
    let mut manager = Manager::of(&mut home);
    let mut daemon = Daemon::start_in(home).await;
    // What is heard first is the start.
    assert_eq!(manager.next().await, "READY=1");
    manager.hears("STATUS=no model in memory").await;
    for _ in 0..3 {
        manager.hears("WATCHDOG=1").await;
    }
    daemon
        .home
        .cli()
        .run(&["load", "builtin/helper"])
        .await
        .succeeded();
    manager.hears("STATUS=1 model in memory").await;
    send_signal(daemon.pid(), TERMINATE);
    let stopping = manager.hears("STOPPING=1").await;
    let time = stopping.split_once("EXTEND_TIMEOUT_USEC=").unwrap().1;
    // The grace time of ten seconds is in it.
    assert!(time.parse::<u64>().unwrap() > 10_000_000, "{stopping}");
    assert!(daemon.ended().await.success());
}

/// Listens where the daemon would, as systemd does for it.
fn listen_for(home: &Home) -> UnixListener {
    let directory = home.path().join("run");
    std::fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
    UnixListener::bind(directory.join("airunnerd.sock")).unwrap()
}

/// Starts the daemon with a socket as its third descriptor.
fn handed_over(home: &Home, listener: &UnixListener) -> Child {
    let mut command = home.command("/bin/sh");
    let hand_over = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\"";
    command.args(["-c", hand_over]).arg(binary("airunnerd"));
    command
        .stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true).spawn().unwrap()
}

#[tokio::test]
async fn a_socket_that_is_handed_over_is_used_and_left() {
    let home = Home::new();
    let listener = listen_for(&home);
    for _ in 0..2 {
        let mut daemon = handed_over(&home, &listener);
        let status = home.cli().json(&["status"]).await;
        assert_eq!(status["pid"], daemon.id().unwrap());
        home.cli().run(&["stop"]).await.succeeded();
        assert!(daemon.wait().await.unwrap().success());
        assert!(home.path().join("run/airunnerd.sock").exists());
    }
}

#[tokio::test]
async fn a_socket_that_somebody_listens_on_is_not_taken_away() {
    let home = Home::new();
    let listener = listen_for(&home);
    let Output { status, stderr, .. } = home.daemon_command().output().unwrap();
    assert!(!status.success());
    let said = String::from_utf8_lossy(&stderr);
    assert!(said.contains("the service manager listens on"), "{said}");
    // Once nobody does, what was left is replaced.
    drop(listener);
    let daemon = Daemon::start_in(home).await;
    eventually("it answers", async || {
        daemon.home.cli().run(&["status"]).await.code == 0
    })
    .await;
    daemon.stop().await;
}

/// Whether a process has a file open.
fn has_open(pid: u32, path: &std::path::Path) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut open = descriptors
        .flatten()
        .filter_map(|entry| entry.path().read_link().ok());
    open.any(|file| file == path)
}

#[tokio::test]
async fn a_worker_keeps_nothing_of_what_the_daemon_has_open() {
    let home = Home::new();
    let kept = home.path().canonicalize().unwrap().join("kept");
    let mut command = home.command("/bin/sh");
    command
        .args(["-c", "exec 7>\"$1\"; exec \"$0\""])
        .arg(binary("airunnerd"))
        .arg(&kept)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut daemon = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let cli = home.cli();
    eventually("the daemon answers", async || {
        cli.run(&["status"]).await.code == 0
    })
    .await;
    cli.run(&["load", "builtin/helper"]).await.succeeded();
    let models = cli.json(&["ps"]).await;
    let worker = models[0]["pid"].as_u64().expect("a worker has a number");
    let daemon_pid = daemon.id().unwrap();
    assert!(has_open(daemon_pid, &kept), "the shell handed it over");
    assert!(!has_open(worker as u32, &kept));
    send_signal(daemon_pid, TERMINATE);
    assert!(daemon.wait().await.unwrap().success());
}
