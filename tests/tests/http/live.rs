//! Address, port and encryption, changed while the daemon runs.

use std::net::{TcpListener, TcpStream};

use airunner_core::event::Event;
use airunner_ipc_client::{Endpoint, Update, Watch};
use airunner_tests::{CliOutput, Daemon, FakeModel, Gate, Home, Http, Reply, eventually, send_signal};
use reqwest::Certificate;
use serde_json::{Value, json};

const FREE: &str = "[http]\nlisten = \"127.0.0.1:0\"\n";

/// A daemon that goes by its file alone.
async fn by_file(text: &str) -> Daemon {
    let mut home = Home::new();
    home.unset("AIRUNNER_HTTP_LISTEN");
    home.configure(text);
    Daemon::start_in(home).await
}

async fn set(daemon: &Daemon, name: &str, value: &str) -> CliOutput {
    daemon.home.cli().run(&["settings", "set", name, value]).await
}

async fn refused(daemon: &Daemon, name: &str, value: &str) -> (String, String) {
    let before = text(daemon);
    let (_, reason, message) = daemon.home.cli().refusal(&["settings", "set", name, value]).await;
    assert_eq!(text(daemon), before, "nothing is written");
    (reason, message)
}

fn text(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.home.path().join("config/config.toml")).unwrap()
}

async fn status(daemon: &Daemon) -> Value {
    daemon.home.cli().json(&["status"]).await["http"].clone()
}

/// A port that somebody has.
fn taken() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Moves to a port that is free; another program may be faster than we are, so it is tried again.
async fn moved(daemon: &Daemon) -> u16 {
    loop {
        let (listener, port) = taken();
        drop(listener);
        let set = set(daemon, "http.listen", &format!("127.0.0.1:{port}")).await;
        if set.code == 0 {
            return port;
        }
        assert!(set.stderr.contains("another program listens there"), "{set:?}");
    }
}

async fn answers(http: &Http) -> u16 {
    http.get("/v1/models").await.status
}

/// Trusts the certificate that the daemon made.
fn trusting(daemon: &Daemon, http: &Http) -> Http {
    let pem = std::fs::read(daemon.home.path().join("data/http-tls/certificate.pem")).unwrap();
    let certificate = Certificate::from_pem(&pem).unwrap();
    let client = reqwest::Client::builder().no_proxy();
    http.with_client(client.tls_certs_only([certificate]).build().unwrap())
}

#[tokio::test]
async fn a_port_is_changed_and_whoever_is_answered_hears_the_end() {
    let daemon = by_file(FREE).await;
    let gate = Gate::new();
    let slow = FakeModel::new("slow")
        .speaks(&["one", " two"])
        .waits_after(1, &gate);
    daemon.install(&slow).await;
    let old = daemon.http().await;
    let socket = daemon.home.cli().json(&["status"]).await["socket"].clone();
    let mut watch = Watch::new(Endpoint::at(socket.as_str().unwrap().into()));
    while !matches!(watch.next().await, Update::Snapshot(_)) {}

    // One is in the middle of its answer, and others listen for as long as there is something.
    let body = json!({"model": "slow", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let request = old.request("POST", "/v1/chat/completions");
    let request = request
        .header("content-type", "application/json")
        .body(body.to_string());
    let mut answer = request.send().await.unwrap();
    let mut heard = String::new();
    while !heard.contains("one") {
        heard.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
    }
    let mut socket = old.socket("/api/v1/events/ws").await;
    socket.until("snapshot").await;
    let mut chat = old.socket("/api/v1/llm/stream").await;
    chat.say(&json!({"type": "chat", "id": "a", "model": "slow", "message": "Hi"}))
        .await;
    chat.until("chunk").await;

    let (holder, port) = taken();
    let (reason, message) = refused(&daemon, "http.listen", &format!("127.0.0.1:{port}")).await;
    assert_eq!(reason, "busy");
    assert!(message.contains("another program listens there"), "{message}");
    drop(holder);
    for (address, expected) in [
        ("192.0.2.1:8484", "permission_denied"),
        ("[::ffff:127.0.0.1]:99999", "invalid_argument"),
    ] {
        assert_eq!(
            refused(&daemon, "http.listen", address).await.0,
            expected,
            "{address}"
        );
    }
    assert_eq!(answers(&old).await, 200, "it goes on unharmed");
    assert_eq!(
        status(&daemon).await["problem"],
        Value::Null,
        "who asked was told"
    );

    let port = moved(&daemon).await;
    let url = format!("http://127.0.0.1:{port}");
    let new = daemon.http().await;
    assert_eq!(new.url, url);
    assert_eq!(answers(&new).await, 200);
    assert!(
        TcpStream::connect(old.authority()).is_err(),
        "nobody is let in there any more"
    );
    let told = loop {
        if let Update::Event(Event::HttpChanged(http)) = watch.next().await {
            break http;
        }
    };
    assert_eq!(told.urls, [url], "whoever watches is told");
    assert_eq!(
        socket.closed().await,
        Some(1001),
        "a stream without an end has one here"
    );

    gate.open();
    while let Some(piece) = answer.chunk().await.unwrap() {
        heard.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(
        heard.contains("two") && heard.ends_with("data: [DONE]\n\n"),
        "{heard}"
    );
    chat.until("done").await;
    assert_eq!(chat.closed().await, Some(1001));

    let listen = daemon.home.cli().json(&["settings", "get", "http.listen"]).await;
    assert_eq!(
        (&listen["applies"], &listen["pending"]),
        (&json!("at_once"), &json!("nothing"))
    );
    // By a request that comes over the very address it changes.
    let before = status(&daemon).await["urls"].clone();
    let (_listener, port) = taken();
    let patch = |listen: String| {
        let body = json!({"http.listen": listen}).to_string();
        Reply::of(new.request("PATCH", "/api/v1/settings").body(body))
    };
    assert_eq!(patch(format!("127.0.0.1:{port}")).await.status, 409);
    assert_eq!(status(&daemon).await["urls"], before);
    assert_eq!(patch("127.0.0.1:0".to_owned()).await.status, 200);
    assert_ne!(status(&daemon).await["urls"], before);
    assert_eq!(answers(&daemon.http().await).await, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn an_edited_file_moves_it_as_well_and_one_that_cannot_be_obeyed_is_told() {
    let daemon = by_file(FREE).await;
    let cli = daemon.home.cli();
    let old = daemon.http().await;
    let (holder, port) = taken();
    let edited = format!("[http]\nlisten = \"127.0.0.1:{port}\"\n[models]\nkeep_alive = \"7m\"\n");
    daemon.home.configure(&edited);
    let (_, reason, message) = cli.refusal(&["settings", "reload"]).await;
    assert_eq!(reason, "busy");
    assert!(message.contains("another program listens there"), "{message}");
    assert_eq!(text(&daemon), edited);
    let told = status(&daemon).await;
    assert_eq!(told["urls"], json!([old.url]), "it goes on where it was");
    assert!(
        told["problem"].as_str().unwrap().contains("config.toml asks for"),
        "{told}"
    );
    let shown = cli.run(&["status"]).await.succeeded().stdout;
    assert!(
        shown.contains(&old.url) && shown.contains("another program"),
        "{shown}"
    );
    let doctor = cli.run(&["doctor"]).await.stdout;
    assert!(doctor.contains("config.toml asks for"), "{doctor}");
    assert_eq!(answers(&old).await, 200);
    let pending = async |name: &str| cli.json(&["settings", "get", name]).await["pending"].clone();
    assert_eq!(
        (pending("http.listen").await, pending("models.keep_alive").await),
        (json!("reload"), json!("nothing"))
    );
    // What has nothing to do with it can be set.
    set(&daemon, "models.keep_alive", "8m").await.succeeded();
    assert!(status(&daemon).await["problem"].is_string());

    drop(holder);
    eventually("the port is free and the file is obeyed", async || {
        send_signal(daemon.pid(), 1);
        status(&daemon).await["urls"] == json!([format!("http://127.0.0.1:{port}")])
    })
    .await;
    assert_eq!(status(&daemon).await["problem"], Value::Null);
    assert_eq!(answers(&daemon.http().await).await, 200);
    assert!(TcpStream::connect(old.authority()).is_err());
    daemon.stop().await;
}

#[tokio::test]
async fn encryption_is_switched_on_and_off_on_the_same_port() {
    let daemon = by_file(FREE).await;
    let plain = daemon.http().await;
    let certificate = daemon.home.path().join("mine.pem");
    let key = daemon.home.path().join("key.pem");
    set(&daemon, "http.tls_certificate", certificate.to_str().unwrap())
        .await
        .succeeded();
    set(&daemon, "http.tls_key", key.to_str().unwrap())
        .await
        .succeeded();
    let (reason, message) = refused(&daemon, "http.tls", "files").await;
    assert_eq!(reason, "invalid_config");
    assert!(message.contains("mine.pem"), "{message}");
    assert_eq!(answers(&plain).await, 200);

    set(&daemon, "http.tls", "self-signed").await.succeeded();
    let sealed = trusting(&daemon, &daemon.http().await);
    assert_eq!(sealed.url, plain.url.replace("http:", "https:"), "the port stays");
    assert_eq!(answers(&sealed).await, 200);
    assert!(
        plain.request("GET", "/health").send().await.is_err(),
        "nothing is said in the clear"
    );

    let made = daemon.home.path().join("data/http-tls");
    std::fs::copy(made.join("certificate.pem"), &certificate).unwrap();
    std::fs::write(
        &key,
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    assert_eq!(refused(&daemon, "http.tls", "files").await.0, "invalid_config");
    assert_eq!(answers(&sealed).await, 200);
    std::fs::copy(made.join("key.pem"), &key).unwrap();
    set(&daemon, "http.tls", "files").await.succeeded();
    assert_eq!(answers(&sealed).await, 200);

    set(&daemon, "http.tls", "off").await.succeeded();
    assert_eq!(answers(&plain).await, 200);
    set(&daemon, "http.listen", "").await.succeeded();
    assert_eq!(status(&daemon).await["urls"], json!([]));
    assert!(TcpStream::connect(plain.authority()).is_err());
    let shown = daemon.home.cli().run(&["status"]).await.succeeded().stdout;
    assert!(shown.contains("switched off"), "{shown}");
    moved(&daemon).await;
    assert_eq!(answers(&daemon.http().await).await, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn a_network_is_guarded_while_it_runs_as_at_the_start() {
    let daemon = by_file(FREE).await;
    let cli = daemon.home.cli();
    let port = moved(&daemon).await;
    let (here, all) = (format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}"));
    let http = daemon.http().await;
    let (reason, message) = refused(&daemon, "http.listen", &all).await;
    assert_eq!(reason, "permission_denied");
    assert!(message.contains("without a key and TLS"), "{message}");
    cli.json(&["keys", "create", "phone"]).await;
    assert!(
        refused(&daemon, "http.listen", &all)
            .await
            .1
            .contains("without TLS")
    );
    assert_eq!(answers(&http).await, 200);
    set(&daemon, "http.tls", "self-signed").await.succeeded();

    let elsewhere = refused(&daemon, "http.listen", "192.0.2.1:0").await;
    assert_eq!(elsewhere.0, "invalid_argument");
    assert!(
        elsewhere.1.contains("not an address of this machine"),
        "{}",
        elsewhere.1
    );

    // The same port for every address of the machine: the old place has to make way, and comes
    // back if that was in vain.
    if let Ok(in_the_way) = TcpListener::bind(format!("127.0.0.9:{port}")) {
        assert_eq!(refused(&daemon, "http.listen", &all).await.0, "busy");
        let sealed = trusting(&daemon, &daemon.http().await);
        assert_eq!(
            (answers(&sealed).await, sealed.url.as_str()),
            (200, &*format!("https://{here}"))
        );
        drop(in_the_way);
    }
    set(&daemon, "http.listen", &all).await.succeeded();
    let everywhere = daemon.http().await;
    assert_eq!(everywhere.url, format!("https://{all}"));
    let sealed = trusting(&daemon, &everywhere.at(&format!("https://{here}")));
    assert_eq!(answers(&sealed).await, 200);
    for (name, value) in [("http.tls", "off"), ("http.tls", "files")] {
        refused(&daemon, name, value).await;
    }
    assert_eq!(answers(&sealed).await, 200, "it stays encrypted");

    set(&daemon, "http.listen", &here).await.succeeded();
    assert_eq!(answers(&sealed).await, 200);
    set(&daemon, "http.tls", "off").await.succeeded();
    assert_eq!(answers(&http).await, 200);
    let audit = cli.run(&["keys", "audit"]).await.succeeded().stdout;
    assert!(audit.contains("bind refused") && audit.contains(&all), "{audit}");
    daemon.stop().await;
}
