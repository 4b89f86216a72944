//! Conversations that go on where they ended, although the model was unloaded or the daemon ended.
#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::path::{Path, PathBuf};

use airunner_daemon::config::LogLevel;
use airunner_daemon::prepack::PrepackArguments;
use airunner_platform::ChildLimits;
use airunner_tests::{Daemon, FakeModel, Home, Http, binary, eventually, onnxruntime_library, repository};
use serde_json::{Value, json};

const MODEL: &str = "mine";

/// A daemon that knows a model with a copy for our own kernels, which keep their own cache.
async fn daemon(settings: &str) -> Daemon {
    let mut home = Home::new();
    home.set("AIRUNNER_MODELS_KERNELS", "portable");
    home.configure(settings);
    let mut daemon = Daemon::start_in(home).await;
    let package = repository().join("installers/builtin-models/helper/package");
    let import = ["models", "import", package.to_str().unwrap(), "--name", MODEL];
    daemon.home.cli().run(&import).await.succeeded();
    // The daemon would make none of so small a model, and tidies up what others begin.
    daemon.home.cli().run(&["stop"]).await.succeeded();
    assert!(daemon.ended().await.success());
    copy(&daemon.home).await;
    daemon.start_again().await;
    daemon
}

async fn copy(home: &Home) {
    let arguments = PrepackArguments {
        model: MODEL.to_owned(),
        directory: home.path().join("data/models").join(MODEL),
        variant: String::new(),
        cache: home.path().join("cache/prepacked"),
        onnxruntime_library: onnxruntime_library(),
        threads: 1,
        // Every machine has these, so every machine makes a copy.
        kernels: "portable".parse().unwrap(),
        limits: ChildLimits::default(),
        log_level: LogLevel::Warn,
    };
    let mut child = tokio::process::Command::new(binary("airunnerd"))
        .args(arguments.to_line())
        .stdin(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let stdin = child.stdin.take();
    assert!(child.wait().await.unwrap().success(), "the copy was made");
    drop(stdin);
}

/// The blocks on the disk.
fn blocks(home: &Home) -> Vec<PathBuf> {
    let directory = home.path().join("cache/conversations");
    let files = home.files_in("cache/conversations").into_iter();
    let blocks = files.filter(|file| Path::new(file).extension().is_some_and(|kind| kind == "kv"));
    blocks.map(|file| directory.join(file)).collect()
}

async fn until_kept(home: &Home, count: usize) {
    eventually("what was computed is on the disk", async || {
        blocks(home).len() >= count
    })
    .await;
}

/// An answer, and how many tokens of the prompt were not computed for it.
#[derive(Debug, PartialEq)]
struct Answer {
    text: String,
    cached: u64,
}

async fn ask(http: &Http, messages: &Value, more: Value) -> Answer {
    let mut body = json!({"model": MODEL, "messages": messages, "temperature": 0, "max_tokens": 24});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let answer = http.post("/v1/chat/completions", &body).await.ok();
    Answer {
        text: answer["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned(),
        cached: answer["usage"]["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .unwrap_or(0),
    }
}

fn conversation(about: &str) -> Value {
    let rules = format!("You know everything about {about} and answer with few words. ").repeat(8);
    json!([
        {"role": "system", "content": rules},
        {"role": "user", "content": format!("What is {about}?")},
    ])
}

fn next_turn(messages: &Value, answer: &str) -> Value {
    let mut messages = messages.clone();
    messages.as_array_mut().unwrap().extend([
        json!({"role": "assistant", "content": answer}),
        json!({"role": "user", "content": "And where can it be found?"}),
    ]);
    messages
}

async fn unload(daemon: &Daemon) {
    daemon.home.cli().run(&["unload", MODEL]).await.succeeded();
}

async fn set(daemon: &Daemon, size: &str) {
    let set = ["settings", "set", "models.cache_on_disk", size];
    daemon.home.cli().run(&set).await.succeeded();
}

#[tokio::test]
async fn a_conversation_goes_on_after_an_unload_and_a_restart_and_says_the_same() {
    let mut daemon = daemon("[models]\ncache_on_disk = \"64MiB\"\n").await;
    let http = daemon.http().await;
    let first = conversation("the sea");
    let answer = ask(&http, &first, json!({})).await;
    assert_eq!(answer.cached, 0);
    let second = next_turn(&first, &answer.text);
    until_kept(&daemon.home, 2).await;

    unload(&daemon).await;
    let expected = ask(&http, &second, json!({})).await;
    assert!(expected.cached > 0, "{expected:?}");

    daemon.home.cli().run(&["stop"]).await.succeeded();
    assert!(daemon.ended().await.success());
    daemon.start_again().await;
    let http = daemon.http().await;
    let again = ask(&http, &second, json!({})).await;
    assert!(again.cached > 0, "{again:?}");
    assert_eq!(again.text, expected.text);

    // Nothing of it is left where nothing is to be kept, and the answer is the same.
    set(&daemon, "0").await;
    let directory = daemon.home.path().join("cache/conversations");
    eventually("everything was deleted", async || !directory.exists()).await;
    unload(&daemon).await;
    let computed = ask(&http, &second, json!({})).await;
    let anew = |text: &str| Answer {
        text: text.to_owned(),
        cached: 0,
    };
    assert_eq!(computed, anew(&expected.text));
    unload(&daemon).await;
    assert!(!directory.exists());

    // What is damaged is computed again.
    set(&daemon, "64MiB").await;
    ask(&http, &second, json!({})).await;
    until_kept(&daemon.home, 4).await;
    unload(&daemon).await;
    for file in blocks(&daemon.home) {
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    let computed = ask(&http, &second, json!({})).await;
    assert_eq!(computed, anew(&expected.text));
    daemon.until_logged("is damaged").await;

    // What is removed takes along what was kept of it.
    until_kept(&daemon.home, 4).await;
    unload(&daemon).await;
    daemon
        .home
        .cli()
        .run(&["models", "remove", MODEL])
        .await
        .succeeded();
    eventually("nothing is left of the model", async || {
        blocks(&daemon.home).is_empty()
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_not_to_be_stored_is_not_and_the_limit_holds() {
    let daemon = daemon("[models]\ncache_on_disk = \"64MiB\"\n").await;
    let http = daemon.http().await;
    let (secret, open) = (conversation("my secret"), conversation("the weather"));
    ask(&http, &secret, json!({"store": false})).await;
    ask(&http, &open, json!({"store": true})).await;
    until_kept(&daemon.home, 2).await;
    unload(&daemon).await;
    assert_eq!(ask(&http, &secret, json!({"store": false})).await.cached, 0);
    assert!(ask(&http, &open, json!({})).await.cached > 0);

    let size = |home: &Home| -> u64 {
        let sizes = blocks(home).into_iter().filter_map(|file| file.metadata().ok());
        sizes.map(|file| file.len()).sum()
    };
    // Whoever writes goes by the limit that there was when the model was loaded.
    unload(&daemon).await;
    let limit = size(&daemon.home) / 2;
    set(&daemon, &limit.to_string()).await;
    eventually("what is over is deleted", async || size(&daemon.home) <= limit).await;
    unload(&daemon).await;
    let other = conversation("the mountains");
    let answer = ask(&http, &other, json!({})).await;
    ask(&http, &next_turn(&other, &answer.text), json!({})).await;
    unload(&daemon).await;
    assert!(size(&daemon.home) <= limit, "{} of {limit}", size(&daemon.home));
    daemon.stop().await;
}

#[tokio::test]
async fn by_itself_nothing_is_kept() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["yes"])]).await;
    let cli = daemon.home.cli();
    cli.run(&["chat", "tiny", "Well?"]).await.succeeded();
    cli.run(&["unload", "tiny"]).await.succeeded();
    assert!(!daemon.home.path().join("cache/conversations").exists());
    daemon.stop().await;
}
