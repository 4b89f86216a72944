//! Clients that are slow, endless, or hostile. Whatever they do, others are served.

use airunner_tests::{Daemon, FakeModel, Home, Http, eventually};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn until_closed(http: &Http, sent: &[u8]) -> Vec<u8> {
    let mut connection = http.connection().await;
    connection.write_all(sent).await.unwrap();
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
async fn whoever_does_not_go_on_is_given_up() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await;
    let http = &http;
    let beginnings: [&[u8]; 5] = [
        b"",
        b"GET /hea",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
        b"PRI * HTTP/2.0\r\n",
        // HTTP/2 that agrees about everything and asks nothing.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    ];
    let closed = beginnings.map(|beginning| until_closed(http, beginning));
    let served = async { assert_eq!(http.get("/health").await.status, 200) };
    tokio::join!(futures_util::future::join_all(closed), served);
    daemon.stop().await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_refused() {
    let with_time = async |seconds: &str| {
        let mut home = Home::new();
        home.set("AIRUNNER_HTTP_BODY_LIMIT", "4KiB")
            .set("AIRUNNER_HTTP_BODY_TIMEOUT_SECONDS", seconds);
        Daemon::start_in(home).await
    };
    // One is fed too much, and has the time to notice; the other is left to wait.
    let (daemon, impatient) = (with_time("300").await, with_time("1").await);
    let (http, impatient_http) = (daemon.http().await, impatient.http().await);
    let head = |http: &Http, path: &str, more: &str| {
        let key = &http.token;
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n{more}\r\n\r\n")
    };
    for path in ["/v1/chat/completions", "/v1/messages", "/api/chat"] {
        // Endless and fast.
        let mut connection = http.connection().await;
        let (mut reader, mut writer) = connection.split();
        let start = head(&http, path, "transfer-encoding: chunked");
        let send = async {
            let _ = writer.write_all(start.as_bytes()).await;
            while writer.write_all(b"400\r\n").await.is_ok()
                && writer.write_all(&[b' '; 0x400]).await.is_ok()
                && writer.write_all(b"\r\n").await.is_ok()
            {}
        };
        let mut answer = vec![0; 4096];
        let read = async {
            let length = reader.read(&mut answer).await.unwrap_or(0);
            String::from_utf8_lossy(&answer[..length]).into_owned()
        };
        let ((), answer) = tokio::join!(send, read);
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
        // Claimed to be long, and never sent.
        let start = head(&impatient_http, path, "content-length: 100\r\nconnection: close");
        let answer = impatient_http.raw(start.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
    }
    for (http, daemon) in [(http, daemon), (impatient_http, impatient)] {
        assert_eq!(http.get("/health").await.status, 200);
        daemon.stop().await;
    }
}

#[tokio::test]
async fn too_much_of_a_head_is_refused() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await;
    let many: String = (0..10_000).map(|number| format!("x-{number}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "x".repeat(1 << 20));
    for headers in [&many, &long] {
        let request = format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        let answer = http.raw(request.as_bytes()).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer:.100}"
        );
    }
    let target = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(1 << 20));
    let answer = http.raw(target.as_bytes()).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer:.100}"
    );
    let fits: String = (0..100).map(|number| format!("x-{number}: 1\r\n")).collect();
    let request = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fits}\r\n");
    assert!(http.raw(request.as_bytes()).await.starts_with("HTTP/1.1 200"));
    daemon.stop().await;
}

/// Why HTTP/2 ends a connection that asks for too much.
const ENHANCE_YOUR_CALM: [u8; 4] = 11_u32.to_be_bytes();

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn a_flood_of_requests_that_are_taken_back_ends_its_connection() {
    let daemon = Daemon::start().await;
    let http = daemon.http().await;
    // GET, http, /, and an authority as a literal.
    let mut head = vec![0x82, 0x86, 0x84, 0x41, 9];
    head.extend(b"localhost");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    for number in 0..20_000_u32 {
        let stream = number * 2 + 1;
        bytes.extend(frame(1, 5, stream, &head));
        bytes.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    let mut connection = http.connection().await;
    let (mut reader, mut writer) = connection.split();
    let mut answer = Vec::new();
    let (_, _) = tokio::join!(writer.write_all(&bytes), reader.read_to_end(&mut answer));
    // The server says goodbye (a frame of kind 7) because of the flood, and closes.
    let frames = frames(&answer);
    let calm = |(kind, payload): &(u8, &[u8])| *kind == 7 && payload.get(4..8) == Some(&ENHANCE_YOUR_CALM);
    let kinds: Vec<u8> = frames.iter().map(|(kind, _)| *kind).collect();
    assert!(frames.iter().any(calm), "{kinds:?}");
    assert_eq!(http.get("/health").await.status, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn who_makes_no_room_for_an_answer_is_given_up() {
    let mut home = Home::new();
    // Long enough for the one who reads, however busy the machine is.
    home.set("AIRUNNER_DAEMON_READER_TIMEOUT_SECONDS", "10");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await;
    // GET, http, an authority and a path as literals.
    let mut head = vec![0x82, 0x86, 0x41, 9];
    head.extend(b"localhost");
    head.extend([0x04, 13]);
    head.extend(b"/openapi.json");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // The first window of every stream is 0.
    bytes.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    bytes.extend(frame(1, 5, 1, &head));
    let answer = until_closed(&http, &bytes).await;
    let frames = frames(&answer);
    let kinds: Vec<u8> = frames.iter().map(|(kind, _)| *kind).collect();
    assert!(kinds.contains(&1), "the head of the answer: {kinds:?}");
    assert!(!kinds.contains(&0), "there was no room for its body: {kinds:?}");
    // With room, the same is answered whole.
    let whole = http.get("/openapi.json").await;
    assert_eq!(whole.status, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_work_whatever_it_sent_behind_its_request() {
    let model = FakeModel::new("endless")
        .speaks(&["word "])
        .with("repeat", true)
        .token_every_ms(20);
    let daemon = Daemon::with_models(&[model]).await;
    let http = daemon.http().await;
    let key = &http.token;
    for stream in [false, true] {
        let messages = json!([{"role": "user", "content": "Hi"}]);
        let body = json!({"model": "endless", "messages": messages, "stream": stream}).to_string();
        let length = body.len();
        for behind in ["G", "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"] {
            let mut connection = http.connection().await;
            let request = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
                 content-length: {length}\r\n\r\n{body}{behind}"
            );
            connection.write_all(request.as_bytes()).await.unwrap();
            daemon.until_state("endless", Some("BUSY")).await;
            drop(connection);
            daemon.until_state("endless", Some("LOADED")).await;
        }
    }
    daemon.stop().await;
}

/// The kinds and the contents of the frames that came.
fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (payload, rest) = rest.split_at(length.min(rest.len()));
        frames.push((head[3], payload));
        bytes = rest;
    }
    frames
}

#[tokio::test]
async fn connections_are_counted_and_come_back() {
    let mut home = Home::new();
    home.set("AIRUNNER_HTTP_CONNECTIONS", "3");
    let daemon = Daemon::start_in(home).await;
    let http = daemon.http().await;
    let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut connection = http.connection().await;
        connection.write_all(request).await.unwrap();
        let mut first = [0; 12];
        connection.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(connection);
    }
    let refused = http.raw(request).await;
    assert!(
        refused.is_empty() || refused.starts_with("HTTP/1.1 503"),
        "{refused}"
    );
    held.clear();
    eventually("there is room again", async || {
        let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        http.raw(request).await.starts_with("HTTP/1.1 200")
    })
    .await;
    daemon.stop().await;
}
