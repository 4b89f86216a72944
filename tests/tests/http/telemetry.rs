//! Numbers, names of requests, and what is told of them in the log.

use airunner_tests::{Daemon, FakeModel, eventually};
use serde_json::json;

#[tokio::test]
async fn the_numbers_tell_what_happened() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["a", "b", "c"])]).await;
    let http = daemon.http().await;
    let chat = json!({"model": "tiny", "messages": [{"role": "user", "content": "one two"}]});
    assert_eq!(http.post("/v1/chat/completions", &chat).await.status, 200);
    let unknown = json!({"model": "nobody", "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(http.post("/v1/chat/completions", &unknown).await.status, 404);
    assert_eq!(http.get("/made/up/path").await.status, 404);
    // An answer counts once its last byte is gone, which the client may see first.
    let labels = r#"family="openai",method="POST",route="/v1/chat/completions""#;
    for line in [
        format!(r#"airunner_http_requests_total{{{labels},status="200"}} 1"#),
        format!(r#"airunner_http_requests_total{{{labels},status="404"}} 1"#),
        r#"airunner_http_requests_total{family="native",method="GET",route="unknown",status="404"} 1"#
            .to_owned(),
        r#"airunner_http_refusals_total{family="openai",reason="model_not_found"} 1"#.to_owned(),
        r#"airunner_completion_tokens_total{model="tiny"} 3"#.to_owned(),
        r#"airunner_time_to_first_token_seconds_count{model="tiny"} 1"#.to_owned(),
        r#"airunner_load_seconds_count{model="tiny"} 1"#.to_owned(),
        r#"airunner_model_state{model="tiny",state="LOADED"} 1"#.to_owned(),
    ] {
        eventually(&line, async || {
            let reply = http.get("/metrics").await;
            assert_eq!(reply.status, 200);
            reply.text.lines().any(|found| found == line)
        })
        .await;
    }
    let text = http.get("/metrics").await.text;
    assert!(text.contains("airunner_memory_budget_bytes{device=\"cpu\"}") && text.ends_with("# EOF\n"));
    assert!(!text.contains("made") && !text.contains("nobody"), "{text}");
    daemon.stop().await;
}

#[tokio::test]
async fn numbers_are_for_keys() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await;
    assert_eq!(http.with_key("").get("/metrics").await.status, 401);
    assert_eq!(http.get("/metrics").await.status, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn a_request_is_found_again_by_its_name_and_nothing_private_is_told() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny").speaks(&["secret reply"])]).await;
    let http = daemon.http().await;
    let own = http.get("/health").await;
    assert!(own.headers["x-request-id"].to_str().unwrap().starts_with("req_"));

    let request = http
        .request("POST", "/v1/chat/completions?hidden=query")
        .header("content-type", "application/json")
        .header("x-request-id", "my-own.name")
        .header(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .body(
            json!({"model": "tiny", "messages": [{"role": "user", "content": "secret prompt"}]}).to_string(),
        );
    let reply = airunner_tests::http::Reply::of(request).await;
    assert_eq!(reply.headers["x-request-id"], "my-own.name");
    daemon.until_logged("my-own.name").await;
    let log = daemon.home.log();
    let line = log.lines().find(|line| line.contains("my-own.name")).unwrap();
    for told in [
        "/v1/chat/completions",
        "POST",
        "200",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "local",
    ] {
        assert!(line.contains(told), "{told} is not in {line}");
    }
    for private in ["secret", "hidden", &http.token] {
        assert!(!log.contains(private), "{private} is in the log");
    }

    let anthropic = http
        .request("POST", "/v1/messages")
        .header("anthropic-version", "2023-06-01")
        .body("{}");
    let reply = airunner_tests::http::Reply::of(anthropic).await;
    assert_eq!(reply.headers["request-id"], reply.headers["x-request-id"]);
    daemon.stop().await;
}
