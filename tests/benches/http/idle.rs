//! Clients that only listen.

use anyhow::ensure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Bench, private_memory};

const CLIENTS: usize = 256;

/// Half of them read events, half of them have a WebSocket.
pub(crate) async fn clients(bench: &Bench) -> anyhow::Result<(&'static str, &'static str, String)> {
    // What the first ones need once is not counted.
    let warm = open(bench, 16).await?;
    drop(warm);
    let before = private_memory(bench)?;
    let open = open(bench, CLIENTS).await?;
    let after = private_memory(bench)?;
    let each = (after - before) / CLIENTS as f64 / 1024.0;
    drop(open);
    Ok((
        "256 idle clients, half with server-sent events, half with WebSockets: private memory of the daemon",
        "at most 30 KiB each",
        format!("{each:.1} KiB each"),
    ))
}

async fn open(bench: &Bench, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut open = Vec::new();
    for index in 0..count {
        open.push(if index % 2 == 0 {
            ask(bench, "/api/v1/events", "", "200").await?
        } else {
            let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
            ask(bench, "/api/v1/llm/stream", upgrade, "101").await?
        });
    }
    Ok(open)
}

/// Reads until the head of the answer has come.
async fn ask(bench: &Bench, path: &str, headers: &str, status: &str) -> anyhow::Result<TcpStream> {
    let address = bench.http.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    let token = &bench.http.token;
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut answer).await? > 0, "{path}: closed");
    }
    let text = String::from_utf8_lossy(&answer);
    ensure!(text.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {text}");
    Ok(stream)
}
