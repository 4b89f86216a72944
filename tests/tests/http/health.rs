//! What every probe asks.

use airunner_tests::Daemon;

#[tokio::test]
async fn probes_need_no_key_and_unknown_paths_are_not_found() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await.with_key("");
    assert_eq!(http.get("/health").await.ok()["status"], "healthy");
    assert_eq!(http.get("/live").await.ok()["status"], "alive");
    assert_eq!(http.get("/ready").await.ok()["status"], "ready");
    assert_eq!(
        http.get("/version").await.ok()["version"],
        env!("CARGO_PKG_VERSION")
    );
    daemon.stop().await;
}
