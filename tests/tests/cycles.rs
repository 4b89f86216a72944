//! Starting and stopping leaves nothing behind.

use airunner_tests::{Home, children_of, eventually};

const CYCLES: usize = 200;

#[tokio::test]
async fn two_hundred_starts_and_stops_leave_no_process_socket_or_file() {
    let home = Home::new();
    let cli = home.cli();
    for cycle in 0..CYCLES {
        cli.run(&["start"]).await.succeeded();
        let pid = cli.json(&["status"]).await["pid"].as_u64().unwrap();
        cli.run(&["stop"]).await.succeeded();
        let pid = u32::try_from(pid).unwrap();
        eventually("the daemon is gone", async || !airunner_tests::is_alive(pid)).await;
        assert!(children_of(pid).is_empty(), "cycle {cycle}");
        assert_eq!(home.files_in("run"), Vec::<String>::new(), "cycle {cycle}");
    }
    assert_eq!(cli.run(&["status"]).await.code, 3);
}

#[tokio::test]
async fn restart_gives_a_new_daemon_in_the_same_home() {
    let home = Home::new();
    let cli = home.cli();
    cli.run(&["start"]).await.succeeded();
    let first = cli.json(&["status"]).await["pid"].clone();
    cli.run(&["start"]).await.succeeded();
    assert_eq!(
        cli.json(&["status"]).await["pid"],
        first,
        "start is a no-op while it runs"
    );
    cli.run(&["restart"]).await.succeeded();
    assert_ne!(cli.json(&["status"]).await["pid"], first);
    cli.run(&["doctor"]).await.succeeded();
    cli.run(&["stop"]).await.succeeded();
    assert_eq!(cli.run(&["stop"]).await.code, 3, "nothing to stop");
}

#[tokio::test]
async fn a_socket_left_by_a_crash_is_replaced() {
    let mut daemon = airunner_tests::Daemon::start().await;
    let socket = daemon.home.cli().json(&["status"]).await["socket"]
        .as_str()
        .unwrap()
        .to_owned();
    daemon.end_by(9).await;
    assert!(
        std::path::Path::new(&socket).exists(),
        "a killed daemon leaves its socket"
    );
    assert_eq!(daemon.home.cli().run(&["status"]).await.code, 3);
    daemon.start_again().await;
    daemon.stop().await;
}
