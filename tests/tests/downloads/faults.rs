//! A hub, or something between it and us, that is broken or hostile.

use airunner_tests::{Daemon, Hub, RemoteFile, Trouble, noise};

use crate::support::*;

#[tokio::test]
async fn what_passes_is_waited_for() {
    let hub = Hub::start().await;
    let daemon = start(&hub).await;
    for (number, trouble, times) in [
        (1, Trouble::Cut(100_000), 6),
        (2, Trouble::Cut(0), 3),
        (3, Trouble::Status(500, None), 3),
        (4, Trouble::Status(429, Some("1")), 2),
        (5, Trouble::Status(503, Some("Wed, 21 Oct 2015 07:28:00 GMT")), 2),
        (6, Trouble::WrongBytes, 1),
        (7, Trouble::WrongLength, 2),
        (8, Trouble::NoRanges, usize::MAX),
        (9, Trouble::Endless, usize::MAX),
    ] {
        let name = format!("team/model{number}");
        hub.no_trouble();
        hub.publish(&name, package(number, 5 * MIB + 12_345));
        hub.trouble("weights", trouble.clone(), times);
        pulled(&daemon, &[&name]).await;
        assert_sound(&daemon, &name).await;
        assert_tidy(&daemon);
    }
    // The endless answer is reported.
    daemon.until_logged("the rest is not read").await;
    hub.no_trouble();
    hub.publish("team/listed", package(10, MIB));
    hub.trouble("listing", Trouble::Status(503, None), 2);
    pulled(&daemon, &["team/listed"]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn wrong_contents_never_become_a_model() {
    let hub = Hub::start().await;
    hub.publish("team/tiny", package(1, 3 * MIB));
    hub.trouble("weights", Trouble::WrongBytes, usize::MAX);
    let daemon = start(&hub).await;
    let (reason, message) = refused(&daemon, &["team/tiny"]).await;
    assert_eq!(reason, "verification_failed");
    assert!(message.contains("weights.onnx_data"), "{message}");
    assert!(!is_installed(&daemon, "team/tiny").await);
    assert_eq!(download(&daemon, "team/tiny").await.unwrap()["state"], "failed");
    // Once the hub is well again the same command succeeds.
    hub.no_trouble();
    pulled(&daemon, &["team/tiny"]).await;
    assert_sound(&daemon, "team/tiny").await;
    assert_tidy(&daemon);
    daemon.stop().await;
}

#[tokio::test]
async fn what_does_not_pass_is_said() {
    let hub = Hub::start().await;
    hub.publish("team/tiny", package(1, MIB));
    let daemon = start(&hub).await;
    for (status, reason) in [
        (401, "unauthenticated"),
        (403, "permission_denied"),
        (404, "model_not_found"),
    ] {
        hub.trouble("listing", Trouble::Status(status, None), 1);
        let (found, message) = refused(&daemon, &["team/tiny"]).await;
        assert_eq!(found, reason, "{message}");
        assert!(!message.contains(TOKEN), "{message}");
    }
    assert_eq!(refused(&daemon, &["team/unknown"]).await.0, "model_not_found");
    assert_eq!(
        refused(&daemon, &["team/tiny", "--revision", "v9"]).await.0,
        "model_not_found"
    );
    assert_eq!(refused(&daemon, &["nonsense"]).await.0, "invalid_argument");
    assert_eq!(
        refused(&daemon, &["team/tiny", "--name", "builtin/x"]).await.0,
        "permission_denied"
    );
    hub.trouble("weights", Trouble::Status(404, None), 1);
    assert_eq!(refused(&daemon, &["team/tiny"]).await.0, "model_not_found");
    pulled(&daemon, &["team/tiny"]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn names_that_leave_the_package_are_refused() {
    let hub = Hub::start().await;
    let daemon = start(&hub).await;
    for (number, path) in [
        "../evil.json",
        "/etc/evil.json",
        "a/../../evil.json",
        "a\\evil.json",
        "evil\u{1}.json",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("team/evil{number}");
        let mut files = package(1, 2000);
        files.push(RemoteFile::new(path, noise(9, 2000)));
        hub.publish(&name, files);
        let (reason, message) = refused(&daemon, &[&name]).await;
        assert_eq!(reason, "model_invalid", "{path:?}: {message}");
    }
    let files = daemon.home.files_in("data");
    assert!(!files.iter().any(|path| path.contains("evil")), "{files:?}");
    assert_eq!(hub.served(), 0, "nothing of them was fetched");
    // Programs in disguise are left out, and alone they are no model.
    hub.publish(
        "team/pickle",
        vec![RemoteFile::new("pytorch_model.bin", noise(1, 3000))],
    );
    assert_eq!(refused(&daemon, &["team/pickle"]).await.0, "model_incompatible");
    hub.publish("team/both", package(1, 2000));
    pulled(&daemon, &["team/both"]).await;
    assert!(!hub.seen().iter().any(|seen| seen.path.ends_with(".bin")));
    daemon.stop().await;
}

#[tokio::test]
async fn another_host_never_sees_the_token() {
    let hub = Hub::start().await;
    let elsewhere = Hub::start_at("127.0.0.2").await;
    hub.publish("team/tiny", package(1, 20 * MIB));
    // Addresses that run out while the download is under way.
    hub.redirect(&elsewhere, 2);
    let mut home = home(&hub);
    home.set("AIRUNNER_DOWNLOADS_ALLOW_PRIVATE_ADDRESSES", "true");
    let daemon = Daemon::start_in(home).await;
    pulled(&daemon, &["team/tiny"]).await;
    assert_sound(&daemon, "team/tiny").await;
    let told = |seen: &airunner_tests::Seen| seen.headers.contains_key("authorization");
    assert!(hub.seen().iter().all(told));
    let seen: Vec<_> = elsewhere
        .seen()
        .into_iter()
        .filter(|seen| seen.path.starts_with('/'))
        .collect();
    assert!(!seen.is_empty());
    for request in &seen {
        let headers = format!("{:?}", request.headers);
        assert!(!told(request) && !headers.contains(TOKEN), "{headers}");
    }
    assert!(
        !daemon.home.log().contains("uses="),
        "signed addresses are not logged"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_redirect_into_the_users_network_is_not_followed() {
    let hub = Hub::start().await;
    let elsewhere = Hub::start_at("127.0.0.2").await;
    hub.publish("team/tiny", package(1, MIB));
    hub.redirect(&elsewhere, 9);
    let daemon = start(&hub).await;
    let (reason, message) = refused(&daemon, &["team/tiny"]).await;
    assert_eq!(reason, "permission_denied", "{message}");
    assert!(elsewhere.seen().is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn no_more_connections_are_open_than_are_allowed() {
    let hub = Hub::start().await;
    hub.publish("team/tiny", package(1, 30 * MIB));
    hub.slow(Some(40 << 20));
    let mut home = home(&hub);
    home.set("AIRUNNER_DOWNLOADS_CONNECTIONS", "3");
    let daemon = Daemon::start_in(home).await;
    pulled(&daemon, &["team/tiny"]).await;
    assert!(
        (2..=4).contains(&hub.most_open()),
        "{} were open",
        hub.most_open()
    );
    daemon.stop().await;
}
