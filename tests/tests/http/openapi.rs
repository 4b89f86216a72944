//! The description of the API, and the page that shows it.

use airunner_tests::{Daemon, repository};
use serde_json::Value;

#[tokio::test]
async fn the_description_is_served_to_everybody_and_committed_as_it_is() {
    let daemon = Daemon::start().await;
    let reply = daemon.http().await.with_key("").get("/openapi.json").await;
    assert_eq!(reply.headers["content-type"], "application/json");
    let served = reply.ok();
    assert_eq!(served["openapi"], "3.1.0");
    let committed = std::fs::read_to_string(repository().join("docs/api/openapi.json")).unwrap_or_default();
    let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
    if served != committed {
        let copy = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.json");
        let pretty = serde_json::to_string_pretty(&served).expect("JSON can be written") + "\n";
        std::fs::write(&copy, pretty).unwrap();
        panic!(
            "docs/api/openapi.json is not what the code says. Look at the difference, then:\n    cp {} docs/api/openapi.json",
            copy.display()
        );
    }
    daemon.stop().await;
}

#[tokio::test]
async fn the_page_asks_nobody_else_for_anything() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await.with_key("");
    let page = http.get("/docs").await;
    assert_eq!(
        (page.status, &page.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(page.headers["x-frame-options"], "DENY");
    let mut pending = vec![("/docs".to_owned(), page.text)];
    let mut seen = 0;
    while let Some((path, text)) = pending.pop() {
        seen += 1;
        assert!(
            !text.contains("https://") && !text.contains("//cdn"),
            "{path} names another address"
        );
        for file in files_in(&text) {
            let reply = http.get(&format!("/docs/{file}")).await;
            assert_eq!(reply.status, 200, "{path} wants {file}");
            assert_eq!(reply.headers["x-content-type-options"], "nosniff");
            pending.push((file, reply.text));
        }
    }
    assert!(seen >= 5, "only {seen} files");
    daemon.stop().await;
}

/// What a file of the page loads: `"docs/x"` of the page itself, `"./x"` of a script.
fn files_in(text: &str) -> Vec<String> {
    let texts = text.split('"');
    texts
        .filter_map(|text| text.strip_prefix("docs/").or_else(|| text.strip_prefix("./")))
        .filter(|name| name.ends_with(".js") || name.ends_with(".css"))
        .map(str::to_owned)
        .collect()
}
