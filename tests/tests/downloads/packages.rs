//! Installed models: verified, repaired, linked.

use std::path::Path;

use airunner_tests::{Daemon, FakeModel, Hub};

use crate::support::*;

#[tokio::test]
async fn only_what_is_bad_is_fetched_again() {
    let hub = Hub::start().await;
    hub.publish("team/tiny", package(1, 4 * MIB));
    let daemon = start(&hub).await;
    let cli = daemon.home.cli();
    pulled(&daemon, &["team/tiny"]).await;
    let directory = daemon.home.path().join("data/models/team+tiny");
    let weights = directory.join("weights.onnx_data");
    let mut bytes = std::fs::read(&weights).unwrap();
    bytes[MIB] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    std::fs::remove_file(directory.join("config.json")).unwrap();

    let output = cli.run(&["models", "verify", "team/tiny", "--json"]).await;
    assert_ne!(output.code, 0, "{output:?}");
    let found = output.json();
    let problems: Vec<_> = found["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            (
                problem["path"].as_str().unwrap(),
                problem["problem"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        problems,
        [
            ("config.json", "missing"),
            ("weights.onnx_data", "has other contents")
        ]
    );

    cli.run(&["load", "team/tiny"]).await.succeeded();
    let (_, reason, _) = cli.refusal(&["models", "repair", "team/tiny"]).await;
    assert_eq!(reason, "busy");
    cli.run(&["models", "verify", "team/tiny"]).await;
    cli.run(&["unload", "team/tiny"]).await.succeeded();

    let before = hub.served();
    let repaired = cli.json(&["models", "repair", "team/tiny"]).await;
    assert_eq!(repaired["ok"], true, "{repaired}");
    assert_eq!(hub.served() - before, 4 * MIB as u64 + 300);
    assert_sound(&daemon, "team/tiny").await;
    assert_tidy(&daemon);
    daemon.stop().await;
}

#[tokio::test]
async fn what_came_from_nowhere_cannot_be_fetched_again() {
    let hub = Hub::start().await;
    let daemon = start(&hub).await;
    daemon.install(&FakeModel::new("mine")).await;
    let cli = daemon.home.cli();
    assert_sound(&daemon, "mine").await;
    let (_, reason, message) = cli.refusal(&["models", "repair", "mine"]).await;
    assert_eq!(reason, "invalid_argument");
    assert!(message.contains("import it again"), "{message}");
    assert_eq!(
        cli.refusal(&["models", "verify", "nobody"]).await.1,
        "model_not_found"
    );
    daemon.stop().await;
}

async fn import_linked(daemon: &Daemon, directory: &Path, name: &str) {
    let directory = directory.to_str().unwrap();
    daemon
        .home
        .cli()
        .run(&["models", "import", directory, "--name", name, "--link"])
        .await
        .succeeded();
}

#[tokio::test]
async fn a_linked_model_stays_where_it_is() {
    let hub = Hub::start().await;
    let mut daemon = start(&hub).await;
    let package = FakeModel::new("mine")
        .speaks(&["yes"])
        .write_below(daemon.home.path());
    import_linked(&daemon, &package, "linked").await;
    let stored = daemon.home.files_in("data/models/linked");
    assert_eq!(stored, ["airunner-manifest.json"]);
    daemon.home.cli().run(&["stop"]).await.succeeded();
    daemon.ended().await;
    daemon.start_again().await;
    let cli = daemon.home.cli();
    cli.run(&["load", "linked"]).await.succeeded();
    cli.run(&["unload", "linked"]).await.succeeded();
    assert_sound(&daemon, "linked").await;

    let moved = package.with_file_name("moved");
    std::fs::rename(&package, &moved).unwrap();
    let (code, reason, message) = cli.refusal(&["load", "linked"]).await;
    assert!(code != 0 && !reason.is_empty(), "{message}");
    let output = cli.run(&["models", "verify", "linked", "--json"]).await;
    assert_eq!(output.json()["problems"][0]["problem"], "missing", "{output:?}");
    std::fs::rename(&moved, &package).unwrap();
    cli.run(&["load", "linked"]).await.succeeded();
    cli.run(&["unload", "linked"]).await.succeeded();
    cli.run(&["models", "remove", "linked"]).await.succeeded();
    assert!(package.join("fake-model.json").is_file(), "the files stay");
    assert!(daemon.home.files_in("data/models").is_empty());
    daemon.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_snapshot_of_the_hubs_cache_is_linked() {
    let hub = Hub::start().await;
    let daemon = start(&hub).await;
    let repository = daemon.home.path().join("hf-cache/models--team--tiny");
    let (blobs, snapshot) = (repository.join("blobs"), repository.join("snapshots/0123"));
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::create_dir_all(&snapshot).unwrap();
    for file in package(1, MIB) {
        std::fs::write(blobs.join(file.digest()), &**file.content).unwrap();
        let target = format!("../../blobs/{}", file.digest());
        std::os::unix::fs::symlink(target, snapshot.join(&file.path)).unwrap();
    }
    import_linked(&daemon, &snapshot, "linked").await;
    assert_sound(&daemon, "linked").await;
    let cli = daemon.home.cli();
    cli.run(&["load", "linked"]).await.succeeded();
    cli.run(&["unload", "linked"]).await.succeeded();
    cli.run(&["models", "remove", "linked"]).await.succeeded();
    assert_eq!(std::fs::read_dir(&blobs).unwrap().count(), 5, "the cache stays");
    daemon.stop().await;
}
