//! Who has which key may do what.

use airunner_tests::{Daemon, Home, Http, Reply, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A path of each family that needs a key for asking.
const ASKED: [(&str, &str); 3] = [
    ("/v1/models", "/error/code"),
    ("/api/tags", "/error"),
    ("/api/v1/nothing", "/error/reason"),
];

async fn key(daemon: &Daemon, arguments: &[&str]) -> String {
    let created = daemon
        .home
        .cli()
        .json(&[&["keys", "create"], arguments].concat())
        .await;
    created["key"].as_str().unwrap().to_owned()
}

async fn with(http: &Http, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = http.with_key("").request("GET", path);
    let add = |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| request.header(*name, *value);
    Reply::of(headers.iter().fold(request, add)).await
}

#[tokio::test]
async fn only_a_good_key_opens_and_all_others_look_the_same() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await;
    let token = http.token.clone();
    let revoked = key(&daemon, &["gone"]).await;
    daemon.home.cli().json(&["keys", "revoke", "gone"]).await;
    let bearer = |key: &str| format!("Bearer {key}");
    let (good, other, longer) = (bearer(&token), bearer("air_x"), bearer(&format!("{token}x")));
    for (path, reason) in ASKED {
        let mut texts: Vec<String> = Vec::new();
        for headers in [
            &[] as &[(&str, &str)],
            &[("authorization", "")],
            &[("authorization", &token)],
            &[("authorization", "Basic YTpi")],
            &[("authorization", &other)],
            &[("authorization", &longer)],
            &[("authorization", &bearer(&revoked))],
            &[("authorization", &bearer(&token[..12]))],
            &[("x-api-key", "nonsense")],
            &[("authorization", &good), ("x-api-key", "nonsense")],
        ] {
            let reply = with(&http, path, headers).await;
            assert_eq!(reply.status, 401, "{path} {headers:?}: {}", reply.text);
            assert!(reply.headers.contains_key("www-authenticate"));
            assert!(!reply.json().pointer(reason).unwrap().is_null(), "{}", reply.text);
            texts.push(reply.text);
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "nobody learns why: {texts:?}");
        let in_the_url = format!("{path}?key={token}&api_key={token}&access_token={token}");
        assert_eq!(with(&http, &in_the_url, &[]).await.status, 401);
        for headers in [
            &[("authorization", &*good)],
            &[("x-api-key", &*token)],
            &[("authorization", &*good.replace("Bearer", "bearer"))],
        ] {
            let reply = with(&http, path, headers).await;
            assert!(matches!(reply.status, 200 | 404), "{path}: {}", reply.text);
        }
    }
    for path in ["/health", "/live", "/ready", "/version", "/openapi.json"] {
        assert_eq!(with(&http, path, &[]).await.status, 200, "{path}");
    }
    // A page in a browser, which goes on only if one of its subprotocols was chosen.
    for path in ["/api/v1/llm/stream", "/api/v1/events/ws"] {
        let request = |key: &str| {
            let host = http.authority();
            format!(
                "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 sec-websocket-protocol: airunner, airunner.key.{key}\r\norigin: http://{host}\r\n\r\n"
            )
        };
        let mut connection = http.connection().await;
        connection.write_all(request(&token).as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{path}: {head}");
        assert!(head.contains("sec-websocket-protocol: airunner\r\n"), "{head}");
        assert!(!head.contains("airunner.key."), "{head}");
        let mut refused = http.connection().await;
        refused.write_all(request("air_x").as_bytes()).await.unwrap();
        let mut head = [0; 12];
        refused.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 401");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_key_is_good_for_its_scopes_until_it_is_revoked() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await;
    let asks = http.with_key(&key(&daemon, &["asks"]).await);
    let manages = http.with_key(&key(&daemon, &["manages", "--scope", "models"]).await);
    let rules = http.with_key(&key(&daemon, &["rules", "--scope", "admin"]).await);
    for (http, path, status) in [
        (&asks, "/v1/models", 200),
        (&asks, "/metrics", 403),
        (&asks, "/nothing", 404),
        (&manages, "/v1/models", 200),
        (&manages, "/api/v1/llm/history", 403),
        (&asks, "/api/v1/hardware", 403),
        (&manages, "/api/v1/hardware", 200),
        (&manages, "/metrics", 200),
        (&rules, "/v1/models", 200),
        (&rules, "/api/v1/llm/history", 200),
    ] {
        let reply = http.get(path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
    }
    let refused = manages.post("/v1/chat/completions", &json!({})).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(refused.json()["error"]["code"], "permission_denied");
    assert!(refused.text.contains("inference"), "{}", refused.text);

    let cli = daemon.home.cli();
    let listed = cli.json(&["keys", "list"]).await;
    let row = &listed.as_array().unwrap()[0];
    assert_eq!((&row["name"], &row["state"]), (&json!("asks"), &json!("active")));
    assert!(asks.token.starts_with(row["prefix"].as_str().unwrap()));
    assert!(row["last_used_at"].is_string(), "{row}");
    let revoked = cli
        .json(&["keys", "revoke", row["prefix"].as_str().unwrap()])
        .await;
    assert_eq!(revoked["state"], "revoked");
    assert_eq!(asks.get("/v1/models").await.status, 401, "from that moment on");
    assert_eq!(rules.get("/v1/models").await.status, 200);
    let (code, reason, _) = cli.refusal(&["keys", "revoke", "asks"]).await;
    assert_eq!((code, &*reason), (1, "not_found"));
    let (_, reason, _) = cli.refusal(&["keys", "create", "rules"]).await;
    assert_eq!(reason, "already_exists");

    let audit = cli.json(&["keys", "audit"]).await;
    let events: Vec<&str> = audit
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["event"].as_str().unwrap())
        .collect();
    for event in ["key_created", "key_revoked", "refused", "bound", "token_made"] {
        assert!(events.contains(&event), "{event} is not in {events:?}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_key_ends_by_itself() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await;
    let short = http.with_key(&key(&daemon, &["short", "--expires", "1s"]).await);
    eventually("the key expires", async || {
        short.get("/v1/models").await.status == 401
    })
    .await;
    let listed = daemon.home.cli().json(&["keys", "list"]).await;
    assert_eq!(listed[0]["state"], "expired");
    daemon.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_token_stays_the_same_until_others_could_have_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut daemon = Daemon::start().await;
    let first = daemon.http().await.token;
    let printed = daemon.home.cli().run(&["keys", "token"]).await.succeeded();
    assert_eq!(printed.stdout.trim(), first);
    let file = daemon.home.path().join("data/http-token");
    let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    daemon.home.cli().run(&["stop"]).await.succeeded();
    daemon.start_again().await;
    assert_eq!(daemon.http().await.token, first);
    daemon.home.cli().run(&["stop"]).await.succeeded();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    daemon.start_again().await;
    let http = daemon.http().await;
    assert_ne!(http.token, first);
    assert_eq!(mode(), 0o600);
    assert_eq!(http.with_key(&first).get("/v1/models").await.status, 401);
    assert_eq!(http.get("/v1/models").await.status, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn a_loopback_without_keys_is_a_choice_that_is_told() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_AUTH", "loopback-open");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await.with_key("");
    for headers in [
        &[] as &[(&str, &str)],
        &[("authorization", "Bearer ollama")],
        &[("x-api-key", "sk-any")],
    ] {
        assert_eq!(
            with(&http, "/v1/models", headers).await.status,
            200,
            "{headers:?}"
        );
    }
    for headers in [
        &[("authorization", "Bearer air_wrong")],
        &[("x-forwarded-for", "127.0.0.1")],
        &[("forwarded", "for=127.0.0.1")],
    ] {
        assert_eq!(
            with(&http, "/v1/models", headers).await.status,
            401,
            "{headers:?}"
        );
    }
    assert_eq!(
        with(&http, "/v1/models", &[("origin", "http://evil.example")])
            .await
            .status,
        403
    );
    assert_eq!(
        with(&http, "/v1/models", &[("host", "evil.example")])
            .await
            .status,
        421
    );
    let status = daemon.home.cli().json(&["status"]).await;
    assert_eq!(status["http"]["open"], true);
    let shown = daemon.home.cli().run(&["status"]).await.succeeded();
    assert!(
        shown.stdout.contains("open to every program here"),
        "{}",
        shown.stdout
    );
    daemon.until_logged("without a key").await;
    daemon.stop().await;
}

#[tokio::test]
async fn no_key_and_no_prompt_is_ever_written_down() {
    const PROMPT: &str = "xyzzy-plugh-prompt";
    let mut home = Home::new();
    home.set("AIRUNNER_LOG_LEVEL", "debug");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await;
    let secret = key(&daemon, &["phone"]).await;
    let body: Value = json!({"model": "nothing", "messages": [{"role": "user", "content": PROMPT}]});
    for http in [
        &http,
        &http.with_key(&secret),
        &http.with_key("air_wrong-wrong-wrong"),
    ] {
        for path in [
            "/v1/chat/completions",
            "/v1/messages",
            "/api/chat",
            &format!("/nothing?prompt={PROMPT}"),
        ] {
            http.post(path, &body).await;
            http.post(path, &json!({"messages": PROMPT})).await;
            http.get(&format!("/api/v1/llm/history?limit={PROMPT}")).await;
        }
        let invented = http.request(PROMPT, "/v1/models");
        assert!(Reply::of(invented).await.status >= 400);
    }
    let token = http.token.clone();
    let audit = daemon.home.cli().run(&["keys", "audit"]).await.succeeded();
    let folder = daemon.home.path().to_path_buf();
    daemon.until_logged("refused").await;
    let log = daemon.home.log();
    assert!(!audit.stdout.is_empty());
    for text in [&log, &audit.stdout] {
        for hidden in [PROMPT, &token, &secret, "air_wrong-wrong-wrong"] {
            assert!(!text.contains(hidden), "{hidden} was written down");
        }
    }
    for file in ["data/airunner.db", "data/airunner.db-wal"] {
        let bytes = std::fs::read(folder.join(file)).unwrap_or_default();
        assert!(!bytes.windows(43).any(|window| window == &secret.as_bytes()[4..]));
    }
    daemon.stop().await;
}
