//! What the client says to whom, and what it believes, against answers on paper.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A server that gives these answers, one per connection, and remembers what it was asked.
struct Paper {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Paper {
    async fn start(host: &str, answers: Vec<String>) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remember = Arc::clone(&asked);
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 8192];
                let length = stream.read(&mut buffer).await.unwrap();
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                remember.lock().unwrap().push(text);
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        Self { endpoint, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn hub(endpoint: &str, allow_private_addresses: bool) -> Hub {
    Hub::new(&HubOptions {
        endpoint: endpoint.to_owned(),
        token: Some("secret".to_owned()),
        allow_private_addresses,
        offline: false,
    })
    .unwrap()
}

fn place() -> Place {
    Place {
        repository: Repository::parse("team/tiny").unwrap(),
        commit: COMMIT.to_owned(),
        path: "a file.onnx".to_owned(),
    }
}

fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n{body}")
}

async fn read(hub: &Hub, range: Range<u64>, size: u64) -> Result<Vec<u8>, HubError> {
    let mut body = hub.open(&place(), None, &range, size).await?;
    let mut bytes = Vec::new();
    while body.read(&mut bytes).await? > 0 {}
    Ok(bytes)
}

#[tokio::test]
async fn a_part_of_a_file_is_asked_for_and_checked() {
    let part = |range: &str, body: &str| {
        let range = format!("content-range: bytes {range}");
        let length = format!("content-length: {}", body.len());
        answer("206 Partial Content", &[&range, &length], body)
    };
    let server = Paper::start(
        "127.0.0.1",
        vec![
            part("2-4/10", "cde"),
            part("3-5/10", "def"),
            part("2-4/11", "cde"),
            answer("200 OK", &["content-length: 10"], "abcdefghij"),
            answer(
                "200 OK",
                &["content-length: 10", "x-repo-commit: main"],
                "abcdefghij",
            ),
            answer("200 OK", &["content-length: 11"], "abcdefghijk"),
        ],
    )
    .await;
    let hub = hub(&server.endpoint, false);
    assert_eq!(read(&hub, 2..5, 10).await.unwrap(), b"cde");
    let asked = server.asked()[0].to_ascii_lowercase();
    assert!(
        asked.starts_with(&format!("get /team/tiny/resolve/{COMMIT}/a%20file.onnx http/1.1")),
        "{asked}"
    );
    for header in [
        "range: bytes=2-4",
        "authorization: bearer secret",
        "accept-encoding: identity",
    ] {
        assert!(asked.contains(header), "{asked}");
    }
    for _ in 0..2 {
        let error = read(&hub, 2..5, 10).await.unwrap_err();
        assert!(matches!(error, HubError::WrongLength { .. }), "{error}");
    }
    let error = read(&hub, 2..5, 10).await.unwrap_err();
    assert!(matches!(error, HubError::NoRanges { .. }), "{error}");
    for _ in 0..2 {
        let error = read(&hub, 0..10, 10).await.unwrap_err();
        assert!(matches!(error, HubError::WrongLength { .. }), "{error}");
    }
    assert!(!server.asked()[5].to_ascii_lowercase().contains("range:"));
}

#[tokio::test]
async fn an_answer_is_read_up_to_what_was_declared() {
    let server = Paper::start(
        "127.0.0.1",
        vec![
            answer("200 OK", &[], "abcdefghij and much more"),
            answer("200 OK", &[], "abc"),
            answer("200 OK", &["content-length: 10"], "abc"),
        ],
    )
    .await;
    let hub = hub(&server.endpoint, false);
    assert_eq!(read(&hub, 0..10, 10).await.unwrap(), b"abcdefghij");
    for _ in 0..2 {
        let error = read(&hub, 0..10, 10).await.unwrap_err();
        assert!(matches!(error, HubError::Broken { .. }), "{error}");
    }
}

#[tokio::test]
async fn credentials_stay_with_the_configured_host() {
    let other = Paper::start("127.0.0.2", vec![answer("200 OK", &["content-length: 2"], "ok")]).await;
    let location = format!("location: {}/elsewhere?signature=x", other.endpoint);
    let server = Paper::start("127.0.0.1", vec![answer("302 Found", &[&location], "")]).await;
    let hub = hub(&server.endpoint, true);
    assert_eq!(read(&hub, 0..2, 2).await.unwrap(), b"ok");
    assert!(server.asked()[0].contains("Bearer secret"));
    assert!(
        !other.asked()[0].to_ascii_lowercase().contains("authorization"),
        "{:?}",
        other.asked()
    );
    assert!(!other.asked()[0].contains("secret"));
}

#[tokio::test]
async fn redirects_are_checked_and_counted() {
    let refused = [
        "http://127.0.0.2:9/x",
        "http://hub.example/x",
        "https://10.0.0.1/x",
        "file:///etc/passwd",
        "https://user:password@hub.example/x",
    ];
    let answers = refused
        .iter()
        .map(|to| answer("302 Found", &[&format!("location: {to}")], ""))
        .collect();
    let server = Paper::start("127.0.0.1", answers).await;
    let client = hub(&server.endpoint, false);
    for to in refused {
        let error = read(&client, 0..2, 2).await.unwrap_err();
        assert!(matches!(error, HubError::Refused { .. }), "{to}: {error}");
    }
    let around = vec![answer("302 Found", &["location: /again"], ""); 6];
    let server = Paper::start("127.0.0.1", around).await;
    let error = read(&hub(&server.endpoint, false), 0..2, 2).await.unwrap_err();
    assert!(matches!(error, HubError::TooManyRedirects { .. }), "{error}");
}

#[tokio::test]
async fn a_name_that_leads_into_the_private_network_is_not_connected_to() {
    let server = Paper::start("127.0.0.1", Vec::new()).await;
    let port = server.endpoint.rsplit(':').next().unwrap().to_owned();
    // Known to every machine as its own, and no name the policy could know beforehand.
    let policy = Policy::new(&Url::parse("https://hub.example").unwrap(), false);
    let resolver = Resolver {
        policy: Arc::new(policy),
    };
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder()
        .no_proxy()
        .dns_resolver(Arc::new(resolver))
        .build()
        .unwrap();
    let error = client
        .get(format!("http://localhost:{port}/"))
        .send()
        .await
        .unwrap_err();
    assert!(
        airunner_core::error::chain(&error).contains("no address outside of private networks"),
        "{error:?}"
    );
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn offline_nobody_is_asked() {
    let server = Paper::start("127.0.0.1", Vec::new()).await;
    let options = HubOptions {
        endpoint: server.endpoint.clone(),
        token: None,
        allow_private_addresses: true,
        offline: true,
    };
    let hub = Hub::new(&options).unwrap();
    let error = hub.listing(&place().repository, "main").await.unwrap_err();
    assert!(matches!(error, HubError::Offline), "{error}");
}

#[tokio::test]
async fn size_and_digest_come_from_the_head_of_a_file() {
    let digest = "ab".repeat(32);
    let linked = format!("x-linked-etag: \"{digest}\"");
    let tag = format!("etag: W/\"{}\"", "cd".repeat(20));
    let server = Paper::start(
        "127.0.0.1",
        vec![
            answer("200 OK", &[&linked, "x-linked-size: 5", "content-length: 0"], ""),
            answer("200 OK", &[&tag, "content-length: 7"], ""),
            answer("200 OK", &["etag: \"what?\"", "content-length: 7"], ""),
        ],
    )
    .await;
    let hub = hub(&server.endpoint, false);
    let large = hub.describe(&place()).await.unwrap();
    assert_eq!((large.size, large.digest.hex()), (5, digest));
    let small = hub.describe(&place()).await.unwrap();
    assert_eq!((small.size, small.digest.hex()), (7, "cd".repeat(20)));
    let error = hub.describe(&place()).await.unwrap_err();
    assert!(matches!(error, HubError::BadListing { .. }), "{error}");
}

#[tokio::test]
async fn a_listing_without_an_end_is_not_read_to_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 8192]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let spaces = vec![b' '; 1 << 20];
        // It ends when the client hangs up.
        while stream.write_all(&spaces).await.is_ok() {}
    });
    let error = hub(&endpoint, false)
        .listing(&place().repository, "main")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn what_is_no_address_of_a_hub_is_refused() {
    for endpoint in ["", "huggingface.co", "mailto:x@y", "https://"] {
        let options = HubOptions {
            endpoint: endpoint.to_owned(),
            token: None,
            allow_private_addresses: false,
            offline: false,
        };
        assert!(Hub::new(&options).is_err(), "{endpoint}");
        assert!(!format!("{options:?}").contains("secret"));
    }
}
