//! What users ask for: pull, join, pause, cancel, offline.

use airunner_tests::{Daemon, Hub, RemoteFile, eventually, parity_packages, send_signal};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn the_best_variant_for_this_machine_is_fetched_and_answers() {
    let hub = Hub::start().await;
    let (_, directory) = parity_packages()
        .into_iter()
        .find(|(name, _)| name == "llama-hf-multi")
        .unwrap();
    hub.publish_directory("team/llama", &directory);
    let daemon = start(&hub).await;
    let model = pulled(&daemon, &["team/llama"]).await;
    let source = format!("hub:team/llama@{}", hub.commit("team/llama"));
    assert_eq!(
        (&model["name"], &model["source"]),
        (&json!("team/llama"), &json!(source))
    );

    let files = daemon.home.files_in("data/models/team+llama");
    assert!(files.contains(&"onnx/model_q4.onnx".to_owned()), "{files:?}");
    let others =
        |path: &String| path.contains("model.onnx") || path.contains("fp16") || path.contains("golden");
    assert!(!files.iter().any(others), "{files:?}");
    let asked = hub.seen();
    assert!(!asked.iter().any(|seen| seen.path.contains("fp16")), "{asked:?}");
    assert!(
        asked
            .iter()
            .all(|seen| seen.headers["authorization"] == format!("Bearer {TOKEN}"))
    );
    assert!(!daemon.home.log().contains(TOKEN));
    assert_sound(&daemon, "team/llama").await;
    assert_tidy(&daemon);
    daemon.home.cli().run(&["load", "team/llama"]).await.succeeded();

    let wanted = pulled(&daemon, &["team/llama", "--level", "fp16", "--name", "half"]).await;
    assert_eq!(wanted["name"], "half");
    let files = daemon.home.files_in("data/models/half");
    assert!(files.contains(&"onnx/model_fp16.onnx".to_owned()), "{files:?}");
    let (reason, message) = refused(&daemon, &["team/llama", "--level", "2bit", "--name", "tiny"]).await;
    assert_eq!(reason, "invalid_argument", "{message}");
    daemon.stop().await;
}

#[tokio::test]
async fn weights_are_found_by_what_the_graph_says() {
    let hub = Hub::start().await;
    let (_, directory) = parity_packages()
        .into_iter()
        .find(|(name, _)| name == "llama-hf")
        .unwrap();
    // The same graph with a name for its weights that nobody would guess.
    let (usual, other) = (b"model.onnx_data", b"strange-weights");
    let mut graph = std::fs::read(directory.join("onnx/model.onnx")).unwrap();
    let mut at = 0;
    while let Some(found) = graph[at..].windows(usual.len()).position(|bytes| bytes == usual) {
        graph[at + found..at + found + usual.len()].copy_from_slice(other);
        at += found + usual.len();
    }
    assert!(at > 0, "the graph has external weights");
    let read = |name: &str| RemoteFile::new(name, std::fs::read(directory.join(name)).unwrap());
    let weights = std::fs::read(directory.join("onnx/model.onnx_data")).unwrap();
    let mut files = vec![
        read("config.json"),
        read("tokenizer.json"),
        RemoteFile::new("onnx/model.onnx", graph),
    ];
    hub.publish("team/incomplete", files.clone());
    files.push(RemoteFile::new("onnx/strange-weights", weights));
    hub.publish("team/strange", files);
    let daemon = start(&hub).await;
    let (reason, message) = refused(&daemon, &["team/incomplete"]).await;
    assert_eq!(reason, "model_invalid");
    assert!(message.contains("onnx/strange-weights"), "{message}");
    pulled(&daemon, &["team/strange"]).await;
    let stored = daemon.home.files_in("data/models/team+strange");
    assert!(stored.contains(&"onnx/strange-weights".to_owned()), "{stored:?}");
    assert_sound(&daemon, "team/strange").await;
    daemon.home.cli().run(&["load", "team/strange"]).await.succeeded();
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_here_already_is_not_fetched_again() {
    let hub = Hub::start().await;
    hub.publish("team/tiny", package(1, 3 * MIB));
    hub.publish("team/other", package(2, MIB));
    let daemon = start(&hub).await;
    pulled(&daemon, &["team/tiny"]).await;
    let served = hub.served();
    assert_eq!(pulled(&daemon, &["team/tiny"]).await["name"], "team/tiny");
    assert_eq!(hub.served(), served, "it is installed");
    let (reason, _) = refused(&daemon, &["team/other", "--name", "team/tiny"]).await;
    assert_eq!(reason, "already_exists");
    // A new commit is another model.
    hub.publish("team/tiny", package(3, MIB));
    assert_eq!(refused(&daemon, &["team/tiny"]).await.0, "already_exists");
    assert_tidy(&daemon);
    daemon.stop().await;
}

#[tokio::test]
async fn two_who_want_the_same_share_one_download() {
    let hub = Hub::start().await;
    let size = 12 * MIB;
    hub.publish("team/tiny", package(1, size));
    // Other settings, the same weights.
    let mut again = package(1, size);
    again.retain(|file| file.path != "config.json");
    hub.publish("team/again", again);
    hub.slow(Some(CRAWL));
    let daemon = start(&hub).await;
    let both_are_known = async {
        eventually("both are known", async || downloads(&daemon).await.len() == 2).await;
        hub.slow(None);
    };
    let (one, two, three, ()) = tokio::join!(
        pulled(&daemon, &["team/tiny"]),
        pulled(&daemon, &["team/tiny"]),
        pulled(&daemon, &["team/again"]),
        both_are_known,
    );
    assert_eq!(
        (&one["name"], &two["name"]),
        (&json!("team/tiny"), &json!("team/tiny"))
    );
    assert_eq!(three["name"], "team/again");
    assert_eq!(downloads(&daemon).await.len(), 2);
    let most = (size + 64 * 1024) as u64;
    assert!(
        hub.served() <= most,
        "{} of {size} bytes were fetched",
        hub.served()
    );
    for model in ["team/tiny", "team/again"] {
        assert_sound(&daemon, model).await;
    }
    assert_tidy(&daemon);
    daemon.stop().await;
}

#[tokio::test]
async fn ctrl_c_pauses_and_the_same_command_goes_on() {
    let hub = Hub::start().await;
    let size = 24 * MIB;
    hub.publish("team/tiny", package(1, size));
    hub.slow(Some(8 << 20));
    let mut home = home(&hub);
    home.set("AIRUNNER_DOWNLOADS_CONNECTIONS", "4");
    let daemon = Daemon::start_in(home).await;
    let mut first = daemon.home.cli().spawn(&["models", "pull", "team/tiny"]);
    eventually("a part is here", async || hub.served() > 6 << 20).await;
    hub.slow(Some(CRAWL));
    until_here(&daemon, "team/tiny", 2 << 20).await;
    send_signal(first.id().unwrap(), 2);
    let status = first.wait().await.unwrap();
    assert!(!status.success());
    let paused = until(&daemon, "team/tiny", "paused").await;
    let done = paused["done_bytes"].as_u64().unwrap();
    assert!(done > 1 << 20, "{paused}");
    assert!(!is_installed(&daemon, "team/tiny").await);

    let before = hub.served();
    hub.slow(None);
    pulled(&daemon, &["team/tiny"]).await;
    let (fetched, missing) = (
        hub.served() - before,
        paused["total_bytes"].as_u64().unwrap() - done,
    );
    assert!(
        fetched <= missing + SLACK,
        "{missing} bytes were missing and {fetched} were fetched"
    );
    assert_sound(&daemon, "team/tiny").await;
    assert_tidy(&daemon);
    daemon.stop().await;
}

#[tokio::test]
async fn a_download_is_paused_resumed_and_cancelled_by_its_number() {
    let hub = Hub::start().await;
    hub.publish("team/tiny", package(1, 24 * MIB));
    hub.slow(Some(CRAWL));
    let daemon = start(&hub).await;
    let begun = pulled(&daemon, &["team/tiny", "--detach"]).await;
    hub.slow(Some(4 << 20));
    let id = begun["id"].to_string();
    eventually("a part is here", async || hub.served() > 3 << 20).await;
    hub.slow(Some(CRAWL));
    let cli = daemon.home.cli();
    assert_eq!(cli.json(&["downloads", "pause", &id]).await["state"], "paused");
    assert_ne!(cli.json(&["downloads", "resume", &id]).await["state"], "paused");
    until(&daemon, "team/tiny", "running").await;
    assert_eq!(
        cli.json(&["downloads", "cancel", &id]).await["state"],
        "cancelled"
    );
    assert_tidy(&daemon);
    assert_eq!(
        cli.refusal(&["downloads", "resume", &id]).await.1,
        "invalid_argument"
    );
    assert_eq!(cli.refusal(&["downloads", "pause", "4711"]).await.1, "not_found");
    assert!(!is_installed(&daemon, "team/tiny").await);
    daemon.stop().await;
}

#[tokio::test]
async fn a_download_goes_on_after_the_daemon_was_stopped() {
    let hub = Hub::start().await;
    hub.publish("team/tiny", package(1, 16 * MIB));
    // A file of its own in place of the one they share: the other goes on when this is paused.
    let mut others = package(2, 16 * MIB);
    others.retain(|file| file.path != "fake-model.json");
    others.push(RemoteFile::new(
        "fake-model.json",
        br#"{"tokens": ["no"]}"#.to_vec(),
    ));
    hub.publish("team/paused", others);
    hub.slow(Some(CRAWL));
    let mut daemon = start(&hub).await;
    pulled(&daemon, &["team/tiny", "--detach"]).await;
    let paused = pulled(&daemon, &["team/paused", "--detach"]).await;
    hub.slow(Some(8 << 20));
    eventually("a part is here", async || hub.served() > 4 << 20).await;
    hub.slow(Some(CRAWL));
    let id = paused["id"].to_string();
    let done = daemon.home.cli().json(&["downloads", "pause", &id]).await;
    daemon.home.cli().run(&["stop"]).await.succeeded();
    assert!(daemon.ended().await.success());
    hub.slow(None);
    daemon.start_again().await;
    until(&daemon, "team/tiny", "done").await;
    assert!(is_installed(&daemon, "team/tiny").await);
    assert_sound(&daemon, "team/tiny").await;
    let paused = download(&daemon, "team/paused").await.unwrap();
    assert_eq!(paused["state"], "paused");
    assert_eq!(paused["done_bytes"], done["done_bytes"], "what is here is known");
    daemon.stop().await;
}

#[tokio::test]
async fn what_another_download_fetched_of_the_same_contents_counts() {
    let hub = Hub::start().await;
    hub.publish("team/first", package(1, 16 * MIB));
    hub.publish("team/second", package(1, 16 * MIB));
    hub.slow(Some(CRAWL));
    let mut home = home(&hub);
    home.set("AIRUNNER_DOWNLOADS_CONNECTIONS", "2");
    let mut daemon = Daemon::start_in(home).await;
    let mut ids = Vec::new();
    for model in ["team/first", "team/second"] {
        let begun = pulled(&daemon, &[model, "--detach"]).await;
        ids.push(begun["id"].to_string());
        until(&daemon, model, "running").await;
    }
    hub.slow(Some(8 << 20));
    eventually("a part is here", async || hub.served() > 6 << 20).await;
    hub.slow(Some(CRAWL));
    until_here(&daemon, "team/first", 2 << 20).await;
    // The one that fetches goes on for a while, and the other could take over when it stops.
    for id in ids.iter().rev() {
        let told = daemon.home.cli().json(&["downloads", "pause", id]).await;
        assert_eq!(told["state"], "paused");
    }
    let mut told = Vec::new();
    for model in ["team/first", "team/second"] {
        told.push(download(&daemon, model).await.unwrap()["done_bytes"].clone());
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0].as_u64() > Some(1 << 20), "{told:?}");
    daemon.home.cli().run(&["stop"]).await.succeeded();
    assert!(daemon.ended().await.success());
    daemon.start_again().await;
    for (model, told) in ["team/first", "team/second"].into_iter().zip(told) {
        assert_eq!(
            download(&daemon, model).await.unwrap()["done_bytes"],
            told,
            "{model}"
        );
    }
    daemon.stop().await;
}

#[tokio::test]
async fn offline_nothing_is_asked_of_the_network() {
    let hub = Hub::start().await;
    hub.publish("team/tiny", package(1, MIB));
    let mut home = home(&hub);
    home.set("AIRUNNER_DOWNLOADS_OFFLINE", "true");
    let daemon = Daemon::start_in(home).await;
    assert_eq!(refused(&daemon, &["team/tiny"]).await.0, "offline");
    assert!(downloads(&daemon).await.is_empty());
    assert!(hub.seen().is_empty(), "{:?}", hub.seen());
    daemon.stop().await;
}

#[tokio::test]
async fn a_file_of_the_hubs_own_cache_is_used_in_place() {
    let hub = Hub::start().await;
    let files = package(1, 6 * MIB);
    let home = home(&hub);
    let weights = files
        .iter()
        .find(|file| file.path.starts_with("weights"))
        .unwrap();
    let blobs = home.path().join("hf-cache/models--team--tiny/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(weights.digest()), &**weights.content).unwrap();
    // One that is not what its name says.
    let config = files.iter().find(|file| file.path == "config.json").unwrap();
    std::fs::write(blobs.join(config.digest()), vec![0; config.content.len()]).unwrap();
    hub.publish("team/tiny", files);
    let daemon = Daemon::start_in(home).await;
    pulled(&daemon, &["team/tiny"]).await;
    assert!(hub.served() < MIB as u64, "{} bytes were fetched", hub.served());
    assert_sound(&daemon, "team/tiny").await;
    let kept = std::fs::read_dir(&blobs).unwrap().count();
    assert_eq!(kept, 2, "the cache is left as it was");
    daemon.stop().await;
}
