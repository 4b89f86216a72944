//! Web pages: whose may call, and what others are told.

use airunner_tests::{Daemon, Home, Reply};

#[tokio::test]
async fn a_name_that_was_made_to_lead_here_is_refused_everywhere() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_ALLOWED_HOSTS", "ai.example");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await;
    let port = http.authority().rsplit_once(':').unwrap().1;
    let key = format!("authorization: Bearer {}", http.token);
    for path in [
        "GET /health",
        "GET /v1/models",
        "POST /api/chat",
        "GET /docs",
        "GET /nothing",
        "GET /api/v1/llm/stream",
    ] {
        for (host, expected) in [
            ("host: evil.example", 421),
            ("host: 127.0.0.1.evil.example", 421),
            ("host: 192.0.2.7", 421),
            ("host: localhost@evil.example", 400),
            ("x-nothing: 1", 400),
            ("host: ", 400),
        ] {
            let status = http.status_of(path, &[host, &key, "content-length: 0"]).await;
            assert_eq!(status, expected, "{path} {host}");
        }
    }
    let two = ["host: localhost", "host: evil.example", &*key];
    assert_eq!(http.status_of("GET /v1/models", &two).await, 400);
    assert_eq!(
        http.status_of("GET http://evil.example/v1/models", &["host: localhost", &key])
            .await,
        400
    );
    for host in [
        "localhost",
        "LocalHost.",
        "[::1]",
        "ai.example",
        "AI.example",
        "127.0.0.1",
    ] {
        for host in [
            format!("host: {host}"),
            format!("host: {host}:{port}"),
            format!("host: {host}:80"),
        ] {
            assert_eq!(
                http.status_of("GET /v1/models", &[&host, &key]).await,
                200,
                "{host}"
            );
        }
    }
    daemon.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_also_for_sockets() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await;
    let own = http.url.clone();
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let add =
            |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| request.header(*name, *value);
        Reply::of(headers.iter().fold(http.request("GET", path), add)).await
    };
    for path in ["/health", "/v1/models", "/docs", "/nothing"] {
        for headers in [
            &[("origin", "null")] as &[(&str, &str)],
            &[("origin", "http://evil.example")],
            &[("origin", "http://localhost:1")],
            &[("origin", &format!("{own}.evil.example"))],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
        ] {
            let reply = ask(path, headers).await;
            assert_eq!(reply.status, 403, "{path} {headers:?}: {}", reply.text);
            assert!(!reply.headers.contains_key("access-control-allow-origin"));
        }
        for headers in [
            &[("origin", &*own), ("sec-fetch-site", "same-origin")] as &[(&str, &str)],
            &[("sec-fetch-site", "none")],
        ] {
            assert_ne!(ask(path, headers).await.status, 403, "{path} {headers:?}");
        }
    }
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let foreign = [&upgrade[..], &[("origin", "http://evil.example")]].concat();
    assert_eq!(ask("/api/v1/llm/stream", &foreign).await.status, 403);
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(
        ask("/docs", &link).await.status,
        200,
        "a person may follow a link to the documentation"
    );
    assert_eq!(ask("/v1/models", &link).await.status, 403);
    daemon.stop().await;
}

#[tokio::test]
async fn pages_that_are_allowed_are_told_so_and_nobody_else() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_ALLOWED_ORIGINS", "https://app.example");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await;
    let preflight = async |origin: &str| {
        let request = http.with_key("").request("OPTIONS", "/v1/chat/completions");
        let request = request
            .header("origin", origin)
            .header("sec-fetch-site", "cross-site")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        Reply::of(request).await
    };
    let allowed = preflight("https://app.example").await;
    assert_eq!(allowed.status, 204, "{}", allowed.text);
    assert_eq!(
        allowed.headers["access-control-allow-origin"],
        "https://app.example"
    );
    assert_eq!(
        allowed.headers["access-control-allow-headers"],
        "authorization,content-type"
    );
    assert!(
        allowed.headers["access-control-allow-methods"]
            .to_str()
            .unwrap()
            .contains("POST")
    );
    assert!(!allowed.headers.contains_key("access-control-allow-credentials"));
    for origin in [
        "https://evil.example",
        "null",
        "https://app.example.evil",
        "http://app.example",
    ] {
        let refused = preflight(origin).await;
        assert_eq!(refused.status, 403, "{origin}");
        assert!(!refused.headers.contains_key("access-control-allow-origin"));
    }
    // A page may read why it is refused, too.
    for (http, status) in [(&http, 200), (&http.with_key("air_wrong"), 401)] {
        let request = http
            .request("GET", "/v1/models")
            .header("origin", "https://app.example");
        let reply = Reply::of(request).await;
        assert_eq!(reply.status, status, "{}", reply.text);
        assert_eq!(
            reply.headers["access-control-allow-origin"],
            "https://app.example"
        );
        assert!(reply.headers["vary"].to_str().unwrap().contains("origin"));
    }
    daemon.stop().await;
}
