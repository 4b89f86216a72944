//! Requests in, answers out, as broken as wanted.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{RemoteFile, Seen, Shared, Trouble};

/// Bytes written at once.
const PIECE: usize = 64 << 10;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
            shared.most_open.fetch_max(open, Ordering::SeqCst);
            // Whoever breaks a connection wanted to.
            let _ = Connection::new(stream, &shared).run().await;
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
        while connections.try_join_next().is_some() {}
    }
}

struct Connection<'s> {
    stream: BufReader<TcpStream>,
    shared: &'s Shared,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
}

impl<'s> Connection<'s> {
    fn new(stream: TcpStream, shared: &'s Shared) -> Self {
        let _ = stream.set_nodelay(true);
        Self {
            stream: BufReader::new(stream),
            shared,
        }
    }

    async fn run(mut self) -> io::Result<()> {
        while let Some(request) = self.read().await? {
            self.shared.state().seen.push(Seen {
                path: request.path.clone(),
                headers: request.headers.clone(),
            });
            self.answer(&request).await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> io::Result<Option<Request>> {
        let Some(first) = self.line().await? else {
            return Ok(None);
        };
        let mut words = first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, query) = (decode(path), query.to_owned());
        let mut headers = BTreeMap::new();
        while let Some(line) = self.line().await?.filter(|line| !line.is_empty()) {
            if let Some((name, value)) = line.split_once(':') {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        Ok(Some(Request {
            method,
            path,
            query,
            headers,
        }))
    }

    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        Ok(Some(line.trim_end().to_owned()))
    }

    async fn answer(&mut self, request: &Request) -> io::Result<()> {
        let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["api", "models", owner, name, "revision", revision @ ..] => {
                self.listing(&format!("{owner}/{name}"), &revision.join("/"))
                    .await
            }
            [owner, name, "resolve", commit, path @ ..] => {
                self.file(request, &format!("{owner}/{name}"), commit, &path.join("/"))
                    .await
            }
            _ => self.head("404 Not Found", &[("content-length", "0")]).await,
        }
    }

    async fn listing(&mut self, repository: &str, revision: &str) -> io::Result<()> {
        if let Some(Trouble::Status(status, after)) = self.shared.trouble_for("listing") {
            return self.status(status, after).await;
        }
        let found = self.shared.state().repositories.get(repository).cloned();
        let error = |code| [("content-length", "0"), ("x-error-code", code)];
        let Some(found) = found else {
            return self.head("401 Unauthorized", &error("RepoNotFound")).await;
        };
        if revision != "main" && revision != found.commit() {
            return self.head("404 Not Found", &error("RevisionNotFound")).await;
        }
        let text = found.listing(repository).to_string();
        let length = text.len().to_string();
        self.head(
            "200 OK",
            &[("content-type", "application/json"), ("content-length", &length)],
        )
        .await?;
        self.write(text.as_bytes()).await
    }

    async fn status(&mut self, status: u16, retry_after: Option<&str>) -> io::Result<()> {
        let mut headers = vec![("content-length", "0")];
        headers.extend(retry_after.map(|after| ("retry-after", after)));
        self.head(&format!("{status} Trouble"), &headers).await
    }

    async fn file(
        &mut self,
        request: &Request,
        repository: &str,
        commit: &str,
        path: &str,
    ) -> io::Result<()> {
        let (found, redirect) = {
            let state = self.shared.state();
            let repository = state.repositories.get(repository);
            let found = repository.filter(|found| found.commit() == commit);
            let file = found.and_then(|found| found.files.iter().find(|file| file.path == path));
            (file.cloned(), state.redirect.clone())
        };
        let Some(file) = found else {
            let headers = [("content-length", "0"), ("x-error-code", "EntryNotFound")];
            return self.head("404 Not Found", &headers).await;
        };
        if let Some(redirect) = redirect {
            let number = self.shared.state().seen.len();
            let location = format!(
                "{}{}?uses={}&n={number}",
                redirect.to, request.path, redirect.uses
            );
            let headers = [
                ("content-length", "0"),
                ("location", location.as_str()),
                ("x-repo-commit", commit),
                ("x-linked-etag", file.digest()),
            ];
            return self.head("302 Found", &headers).await;
        }
        if self.is_worn_out(request) {
            return self.status(403, None).await;
        }
        self.send(request, &file, commit).await
    }

    /// An address with a signature is good for a number of requests only.
    fn is_worn_out(&self, request: &Request) -> bool {
        let uses = request
            .query
            .split('&')
            .find_map(|part| part.strip_prefix("uses="));
        let Some(uses) = uses.and_then(|uses| uses.parse::<usize>().ok()) else {
            return false;
        };
        let key = format!("used:{}", request.query);
        let mut state = self.shared.state();
        let used = state.seen.iter().filter(|seen| seen.path == key).count();
        state.seen.push(Seen {
            path: key,
            headers: BTreeMap::new(),
        });
        used >= uses
    }

    async fn send(&mut self, request: &Request, file: &RemoteFile, commit: &str) -> io::Result<()> {
        let trouble = self.shared.trouble_for(&file.path);
        let size = file.content.len();
        let asked = request
            .headers
            .get("range")
            .and_then(|range| parse_range(range, size));
        let asked = asked.filter(|_| trouble != Some(Trouble::NoRanges));
        let range = asked.clone().unwrap_or(0..size);
        let declared = match &trouble {
            Some(Trouble::Status(status, after)) => return self.status(*status, *after).await,
            Some(Trouble::WrongLength) => range.len() + 17,
            _ => range.len(),
        };
        let tag = format!("\"{}\"", file.digest());
        let (length, content_range) = (declared.to_string(), content_range(&range, &trouble, size));
        let mut headers = vec![("etag", tag.as_str()), ("x-repo-commit", commit)];
        if trouble == Some(Trouble::Endless) {
            headers.push(("transfer-encoding", "chunked"));
        } else {
            headers.push(("content-length", &length));
        }
        let status = if asked.is_some() {
            headers.push(("content-range", &content_range));
            "206 Partial Content"
        } else {
            "200 OK"
        };
        self.head(status, &headers).await?;
        if request.method == "HEAD" {
            return Ok(());
        }
        self.body(file, range, trouble).await
    }

    async fn body(
        &mut self,
        file: &RemoteFile,
        range: Range<usize>,
        trouble: Option<Trouble>,
    ) -> io::Result<()> {
        let broken = || Err(io::ErrorKind::ConnectionAborted.into());
        let content = &file.content[range];
        match trouble {
            Some(Trouble::Cut(after)) => {
                self.pieces(&content[..after.min(content.len())]).await?;
                broken()
            }
            Some(Trouble::WrongBytes) => {
                let wrong: Vec<u8> = content.iter().map(|byte| byte ^ 0x55).collect();
                self.pieces(&wrong).await
            }
            Some(Trouble::WrongLength) => {
                self.pieces(content).await?;
                self.write(&[0; 17]).await
            }
            Some(Trouble::Endless) => loop {
                for piece in content.chunks(PIECE) {
                    self.write(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                    self.pieces(piece).await?;
                    self.write(b"\r\n").await?;
                }
            },
            Some(Trouble::Stall) => {
                std::future::pending::<()>().await;
                broken()
            }
            Some(Trouble::NoRanges | Trouble::Status(..)) | None => self.pieces(content).await,
        }
    }

    async fn pieces(&mut self, content: &[u8]) -> io::Result<()> {
        for piece in content.chunks(PIECE) {
            self.shared.pay(piece.len()).await;
            self.write(piece).await?;
            self.shared.served.fetch_add(piece.len() as u64, Ordering::SeqCst);
        }
        Ok(())
    }

    async fn head(&mut self, status: &str, headers: &[(&str, &str)]) -> io::Result<()> {
        let mut text = format!("HTTP/1.1 {status}\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        self.write(text.as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes).await
    }
}

fn content_range(range: &Range<usize>, trouble: &Option<Trouble>, size: usize) -> String {
    let wrong = if *trouble == Some(Trouble::WrongLength) {
        17
    } else {
        0
    };
    format!(
        "bytes {}-{}/{}",
        range.start,
        range.end.saturating_sub(1),
        size + wrong
    )
}

fn parse_range(text: &str, size: usize) -> Option<Range<usize>> {
    let (start, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = (start.parse::<usize>().ok()?, end.parse::<usize>().ok()?);
    (start <= end && end < size).then(|| start..end + 1)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex
            .filter(|_| first == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
        {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
