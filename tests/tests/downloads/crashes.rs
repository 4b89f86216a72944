//! The daemon killed at any point: nothing corrupt, nothing lost.

use std::time::Duration;

use airunner_tests::{Daemon, Hub, Trouble, eventually, noise};

use crate::support::*;

const KILL: i32 = 9;
const KILLS: u64 = 20;

/// Numbers that look like chance and are the same in every run.
fn chance(number: u64, below: u64) -> u64 {
    let bytes = noise(number + 77, 8);
    u64::from_le_bytes(bytes.try_into().unwrap()) % below
}

#[tokio::test]
async fn twenty_kills_during_a_download_cost_no_byte_that_was_kept() {
    let hub = Hub::start().await;
    let size = 64 * MIB;
    hub.publish("team/tiny", package(1, size));
    hub.slow(Some(CRAWL));
    let mut home = home(&hub);
    home.set("AIRUNNER_DOWNLOADS_CONNECTIONS", "3");
    let mut daemon = Daemon::start_in(home).await;
    pulled(&daemon, &["team/tiny", "--detach"]).await;
    hub.slow(Some(24 << 20));
    let mut kept = 0;
    for kill in 0..KILLS {
        let before = hub.served();
        let stretch = chance(kill, 4 << 20);
        eventually("it goes on", async || {
            hub.served() - before >= stretch || is_installed(&daemon, "team/tiny").await
        })
        .await;
        daemon.end_by(KILL).await;
        // The hub sends nothing until it is known what is here.
        hub.trouble("weights", Trouble::Status(503, None), usize::MAX);
        daemon.start_again().await;
        if is_installed(&daemon, "team/tiny").await {
            break;
        }
        let waiting = until(&daemon, "team/tiny", "waiting").await;
        let here = waiting["done_bytes"].as_u64().unwrap();
        assert!(here >= kept, "{kept} bytes were here, and now {here}");
        let (served, missing) = (hub.served() - before, size as u64 + SLACK - kept);
        assert!(
            served <= missing,
            "kill {kill}: {served} bytes were fetched, {missing} were missing"
        );
        kept = here;
        hub.no_trouble();
    }
    hub.no_trouble();
    let before = hub.served();
    hub.slow(None);
    until(&daemon, "team/tiny", "done").await;
    let (served, missing) = (hub.served() - before, size as u64 + SLACK - kept);
    assert!(
        served <= missing,
        "{served} bytes were fetched, {missing} were missing"
    );
    assert!(kept > 0, "something was kept");
    assert_sound(&daemon, "team/tiny").await;
    assert_tidy(&daemon);
    daemon.stop().await;
}

#[tokio::test]
async fn twenty_kills_around_the_publication_leave_a_whole_model() {
    let hub = Hub::start().await;
    let mut daemon = start(&hub).await;
    for kill in 0..KILLS {
        let name = format!("team/model{kill}");
        hub.publish(&name, package(kill, MIB + 999));
        let begun = pulled(&daemon, &[&name, "--detach"]).await;
        // Anywhere in the short life of this download: the moment is the fault, not a wait.
        tokio::time::sleep(Duration::from_millis(chance(kill, 120))).await;
        daemon.end_by(KILL).await;
        daemon.start_again().await;
        eventually("it is installed", async || is_installed(&daemon, &name).await).await;
        let over = until(&daemon, &name, "done").await;
        assert_eq!(over["id"], begun["id"]);
        assert_sound(&daemon, &name).await;
        assert_tidy(&daemon);
    }
    daemon.stop().await;
}
