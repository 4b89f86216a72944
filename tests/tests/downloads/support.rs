//! A daemon with a hub of its own.

use airunner_tests::{CliOutput, Daemon, Home, Hub, RemoteFile, eventually_ok, noise};
use serde_json::Value;

pub(crate) const MIB: usize = 1 << 20;

/// The hub counts what it was about to send to connections that ended meanwhile.
pub(crate) const SLACK: u64 = 1 << 20;

/// Bytes per second at which nothing comes to its end while a test does something else.
pub(crate) const CRAWL: u64 = 64 << 10;

/// Secret of the hub's user.
pub(crate) const TOKEN: &str = "hf_a-secret-of-the-user";

pub(crate) fn home(hub: &Hub) -> Home {
    let mut home = Home::new();
    let cache = home.path().join("hf-cache").to_str().unwrap().to_owned();
    home.set("AIRUNNER_DOWNLOADS_HUB", hub.endpoint())
        .set("HF_TOKEN", TOKEN)
        .set("HF_HUB_OFFLINE", "0")
        .set("HF_HUB_CACHE", cache);
    home
}

pub(crate) async fn start(hub: &Hub) -> Daemon {
    Daemon::start_in(home(hub)).await
}

/// A model for the scripted runtime with so many bytes of weights.
pub(crate) fn package(seed: u64, weights: usize) -> Vec<RemoteFile> {
    vec![
        RemoteFile::new("README.md", b"not needed".to_vec()),
        RemoteFile::new("config.json", noise(seed, 300)),
        RemoteFile::new("fake-model.json", br#"{"tokens": ["yes"]}"#.to_vec()),
        RemoteFile::new("pytorch_model.bin", noise(seed, 5000)),
        RemoteFile::new("weights.onnx_data", noise(seed + 1, weights)),
    ]
}

pub(crate) async fn pull(daemon: &Daemon, arguments: &[&str]) -> CliOutput {
    let mut all = vec!["models", "pull"];
    all.extend(arguments);
    all.push("--json");
    daemon.home.cli().run(&all).await
}

pub(crate) async fn pulled(daemon: &Daemon, arguments: &[&str]) -> Value {
    let output = pull(daemon, arguments).await;
    assert_eq!(output.code, 0, "{output:?}\n{}", daemon.home.log());
    output.json()
}

/// Reason and message of a pull that fails.
pub(crate) async fn refused(daemon: &Daemon, arguments: &[&str]) -> (String, String) {
    let mut all = vec!["models", "pull"];
    all.extend(arguments);
    let (_, reason, message) = daemon.home.cli().refusal(&all).await;
    (reason, message)
}

pub(crate) async fn downloads(daemon: &Daemon) -> Vec<Value> {
    let listed = daemon.home.cli().json(&["downloads"]).await;
    listed.as_array().unwrap().clone()
}

/// The newest download of a model.
pub(crate) async fn download(daemon: &Daemon, model: &str) -> Option<Value> {
    let mut all = downloads(daemon).await;
    all.retain(|download| download["name"] == model);
    all.pop()
}

/// Waits until so much of a model is here: what the hub has sent may still be on its way.
pub(crate) async fn until_here(daemon: &Daemon, model: &str, bytes: u64) {
    eventually_ok(&format!("{bytes} bytes of {model} are here"), async || {
        let found = download(daemon, model).await;
        let here = found
            .as_ref()
            .and_then(|download| download["done_bytes"].as_u64());
        if here >= Some(bytes) { Ok(()) } else { Err(found) }
    })
    .await;
}

/// Waits until the newest download of a model is in a state.
pub(crate) async fn until(daemon: &Daemon, model: &str, state: &str) -> Value {
    eventually_ok(&format!("the download of {model} is {state}"), async || {
        let found = download(daemon, model).await;
        match found {
            Some(download) if download["state"] == state => Ok(download),
            other => Err(other),
        }
    })
    .await
}

pub(crate) async fn is_installed(daemon: &Daemon, model: &str) -> bool {
    let models = daemon.home.cli().json(&["models"]).await;
    models.as_array().unwrap().iter().any(|row| row["name"] == model)
}

/// Every file of the model is as it was published.
pub(crate) async fn assert_sound(daemon: &Daemon, model: &str) {
    let checked = daemon.home.cli().json(&["models", "verify", model]).await;
    assert_eq!(checked["ok"], true, "{checked}");
}

/// Nothing is left of downloads that are over.
pub(crate) fn assert_tidy(daemon: &Daemon) {
    let left = daemon.home.files_in("data/downloads");
    assert!(left.is_empty(), "{left:?}");
    let models = daemon.home.files_in("data/models");
    let hidden: Vec<_> = models.iter().filter(|path| path.starts_with('.')).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}
