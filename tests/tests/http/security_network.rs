//! Networks, proxies, how often, and encryption.

use airunner_tests::desktop::have_programs;
use airunner_tests::{Daemon, Home, Http, Reply};
use serde_json::json;

async fn forwarded(http: &Http, chain: &str) -> Reply {
    Reply::of(http.request("GET", "/v1/models").header("x-forwarded-for", chain)).await
}

#[tokio::test]
async fn networks_are_let_in_as_the_lists_say() {
    for (allow, deny, status) in [
        ("[]", "127.0.0.0/8", 403),
        ("10.0.0.0/8", "[]", 403),
        ("127.0.0.0/8", "127.0.0.1", 403),
        ("127.0.0.1,::1", "10.0.0.0/8", 200),
    ] {
        let mut home = Home::new();
        home.set("AIRUNNER_HTTP_ALLOW", allow)
            .set("AIRUNNER_HTTP_DENY", deny);
        let daemon = Daemon::start_in(home).await;
        let http = daemon.http().await;
        assert_eq!(http.get("/v1/models").await.status, status, "{allow} {deny}");
        assert_eq!(
            forwarded(&http, "10.0.0.1, 127.0.0.1").await.status,
            status,
            "a claim changes nothing"
        );
        assert_eq!(http.get("/health").await.status, status, "probes too");
        daemon.stop().await;
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_is_believed() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_TRUSTED_PROXIES", "127.0.0.1")
        .set("AIRUNNER_HTTP_DENY", "203.0.113.0/24")
        .set("AIRUNNER_HTTP_AUTH", "loopback-open");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await;
    assert_eq!(forwarded(&http, "192.0.2.1").await.status, 200);
    assert_eq!(forwarded(&http, "203.0.113.9").await.status, 403);
    assert_eq!(forwarded(&http, "192.0.2.1, 203.0.113.9").await.status, 403);
    assert_eq!(
        forwarded(&http, "203.0.113.9, 192.0.2.1").await.status,
        200,
        "what is farther may be invented"
    );
    assert_eq!(forwarded(&http, "nonsense").await.status, 400);
    // Who comes through a proxy is not on this machine, whatever it says.
    assert_eq!(forwarded(&http.with_key(""), "127.0.0.1").await.status, 401);
    assert_eq!(http.with_key("").get("/v1/models").await.status, 401);
    daemon.stop().await;
}

#[tokio::test]
async fn who_asks_too_often_is_told_how_long_to_wait() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_RATE_LIMIT", "3/h")
        .set("AIRUNNER_HTTP_TRUSTED_PROXIES", "127.0.0.1");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await;
    let number = |reply: &Reply, name: &str| reply.headers[name].to_str().unwrap().parse::<u64>().unwrap();
    for left in [2, 1, 0] {
        let reply = forwarded(&http, "192.0.2.1").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(
            (
                number(&reply, "ratelimit-limit"),
                number(&reply, "ratelimit-remaining")
            ),
            (3, left)
        );
        assert!((1..=3600).contains(&number(&reply, "ratelimit-reset")));
    }
    for chain in ["192.0.2.1", "192.0.2.2"] {
        // The key counts, from wherever it comes.
        let reply = forwarded(&http, chain).await;
        assert_eq!(reply.status, 429, "{}", reply.text);
        assert_eq!(reply.json()["error"]["code"], "rate_limited");
        assert!((1..=1200).contains(&number(&reply, "retry-after")));
        assert_eq!(number(&reply, "ratelimit-remaining"), 0);
    }
    let created = daemon.home.cli().json(&["keys", "create", "phone"]).await;
    let phone = http.with_key(created["key"].as_str().unwrap());
    assert_eq!(
        forwarded(&phone, "192.0.2.3").await.status,
        200,
        "another key from another address"
    );
    // Strangers use up what an address has, and hold up nobody who has a key.
    for status in [401, 401, 401, 429] {
        assert_eq!(forwarded(&http.with_key(""), "192.0.2.9").await.status, status);
    }
    assert_eq!(forwarded(&phone, "192.0.2.9").await.status, 200);
    assert_eq!(http.get("/health").await.status, 200, "probes are not counted");
    // What is asked by a WebSocket counts like requests.
    let created = daemon.home.cli().json(&["keys", "create", "tablet"]).await;
    let tablet = http.with_key(created["key"].as_str().unwrap());
    let mut socket = tablet.socket("/api/v1/llm/stream").await;
    for (id, reason) in [
        ("a", "model_not_found"),
        ("b", "model_not_found"),
        ("c", "rate_limited"),
    ] {
        let chat = json!({"type": "chat", "id": id, "model": "nobody", "message": "Hi"});
        socket.say(&chat).await;
        let heard = socket.until("error").await;
        let error = &heard.last().unwrap()["error"];
        assert_eq!(error["reason"], reason, "{error}");
        assert_eq!(
            error["retry_after_ms"].is_u64(),
            reason == "rate_limited",
            "{error}"
        );
    }
    daemon.stop().await;
}

#[tokio::test]
async fn who_guesses_is_slowed_down_and_nobody_else() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_TRUSTED_PROXIES", "127.0.0.1");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await;
    let wrong = http.with_key("air_wrong");
    // As many as there is room for and those that come back meanwhile, one in a second.
    let mut guesses = 0;
    let refused = loop {
        match forwarded(&wrong, "192.0.2.1").await.status {
            401 if guesses < 1000 => guesses += 1,
            status => break status,
        }
    };
    assert_eq!(refused, 429, "after {guesses}");
    assert!(guesses >= 60, "{guesses}");
    assert_eq!(
        forwarded(&http, "192.0.2.1").await.status,
        200,
        "a good key is not held up"
    );
    assert_eq!(forwarded(&wrong, "192.0.2.2").await.status, 401);
    daemon.stop().await;
}

#[tokio::test]
async fn a_network_is_not_served_without_a_key_and_encryption() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_LISTEN", "0.0.0.0:0");
    let daemon = Daemon::start_in(home).await;
    let status = daemon.home.cli().json(&["status"]).await;
    assert_eq!(status["http"]["urls"].as_array().unwrap().len(), 0);
    let problem = status["http"]["problem"].as_str().unwrap();
    for command in [
        "`airunner keys create NAME`",
        "`airunner settings set http.tls self-signed`",
    ] {
        assert!(problem.contains(command), "{problem}");
    }
    let shown = daemon.home.cli().run(&["status"]).await.succeeded();
    assert!(shown.stdout.contains("airunner keys create"), "{}", shown.stdout);
    daemon.until_logged("is not served").await;
    // The two commands, as they are told.
    daemon.home.cli().json(&["keys", "create", "phone"]).await;
    let encrypt = ["settings", "set", "http.tls", "self-signed"];
    daemon.home.cli().run(&encrypt).await.succeeded();
    let url = daemon.http().await.url;
    assert!(url.starts_with("https://0.0.0.0:"), "{url}");
    let audit = daemon.home.cli().run(&["keys", "audit"]).await.succeeded();
    assert!(
        audit.stdout.contains("bind refused") && audit.stdout.contains("bound"),
        "{}",
        audit.stdout
    );
    daemon.stop().await;
}

#[tokio::test]
async fn encryption_works_with_a_certificate_that_was_made_here() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_TLS", "self-signed");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await;
    assert!(http.url.starts_with("https://127.0.0.1:"), "{}", http.url);
    let folder = daemon.home.path().join("data/http-tls");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("key.pem"))), (0o700, 0o600));
    }
    let pem = std::fs::read(folder.join("certificate.pem")).unwrap();
    let builder = || reqwest::Client::builder().no_proxy();
    let certificate = reqwest::Certificate::from_pem(&pem).unwrap();
    let trusting = builder().tls_certs_only([certificate]).build().unwrap();
    assert_eq!(
        http.with_client(trusting.clone()).get("/v1/models").await.status,
        200
    );
    let mut named = http.clone();
    named.url = http.url.replace("127.0.0.1", "localhost");
    assert_eq!(named.with_client(trusting).get("/v1/models").await.status, 200);
    let doubting = http.with_client(builder().build().unwrap());
    assert!(doubting.request("GET", "/health").send().await.is_err());
    let plain = http.raw(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(!plain.contains("healthy"), "{plain}");
    if have_programs(&["curl"]) {
        curl(&folder.join("certificate.pem"), &http).await;
    }
    daemon.stop().await;
}

/// Another client, and HTTP/2.
async fn curl(certificate: &std::path::Path, http: &Http) {
    let mut command = tokio::process::Command::new("curl");
    command
        .args([
            "-sS",
            "--noproxy",
            "*",
            "--http2",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{http_version}",
        ])
        .arg("--cacert")
        .arg(certificate)
        .args(["-H", &format!("Authorization: Bearer {}", http.token)])
        .arg(format!("{}/v1/models", http.url));
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "200 2", "{}", String::from_utf8_lossy(&output.stderr));
}
