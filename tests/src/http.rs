//! The HTTP API as a program on this machine finds it.

use serde_json::Value;

use crate::daemon::Daemon;

/// Where a daemon answers, and what it wants to see.
#[derive(Clone, Debug)]
pub struct Http {
    /// Such as `http://127.0.0.1:40000`.
    pub url: String,
    /// Of the local user.
    pub token: String,
    client: reqwest::Client,
}

/// A status and a body, JSON if it is that.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Daemon {
    /// The HTTP API of this daemon, with the local token.
    pub async fn http(&self) -> Http {
        let status = self.home.cli().json(&["status"]).await;
        let url = status["http"]["urls"][0]
            .as_str()
            .unwrap_or_else(|| panic!("the HTTP API is not served: {status}"))
            .to_owned();
        let token = std::fs::read_to_string(self.home.path().join("data/http-token")).unwrap_or_default();
        Http {
            url,
            token: token.trim().to_owned(),
            client: client(),
        }
    }
}

/// A client that goes through no proxy.
#[must_use]
pub fn client() -> reqwest::Client {
    // Fails only if another one was installed before, which does as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client without settings can be built")
}

impl Http {
    /// The same API as another caller sees it; an empty key sends none.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            token: key.to_owned(),
            ..self.clone()
        }
    }

    /// The same API at another address.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..self.clone()
        }
    }

    /// A request to go on building.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.url));
        if self.token.is_empty() {
            request
        } else {
            request.bearer_auth(&self.token)
        }
    }

    /// The same API through another client, such as one that trusts its certificate.
    #[must_use]
    pub fn with_client(&self, client: reqwest::Client) -> Self {
        Self {
            client,
            ..self.clone()
        }
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.url.split_once("://").expect("an address").1
    }

    /// A connection without anything on it.
    pub async fn connection(&self) -> tokio::net::TcpStream {
        tokio::net::TcpStream::connect(self.authority())
            .await
            .expect("the API accepts")
    }

    /// Sends this and nothing else, and returns what comes until the server closes.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut connection = self.connection().await;
        // A server that refuses early does not read all of it.
        let _ = connection.write_all(bytes).await;
        let mut answer = Vec::new();
        // What came before a reset counts.
        let _ = connection.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status of a request whose head is exactly these lines after the first.
    pub async fn status_of(&self, first: &str, lines: &[&str]) -> u16 {
        let head: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let request = format!("{first} HTTP/1.1\r\n{head}connection: close\r\n\r\n");
        let answer = self.raw(request.as_bytes()).await;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("{first} {lines:?}: {answer:?}"))
    }

    pub async fn get(&self, path: &str) -> Reply {
        Reply::of(self.request("GET", path)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        Reply::of(self.request("DELETE", path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        let request = self.request("POST", path);
        Reply::of(
            request
                .header("content-type", "application/json")
                .body(body.to_string()),
        )
        .await
    }
}

impl Reply {
    /// Sends a request and reads all of what comes.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("the API answers");
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.expect("the answer arrives"),
        }
    }

    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The JSON of an answer that must have succeeded.
    pub fn ok(&self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.text
        );
        self.json()
    }

    /// The data of server-sent events, in order.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(str::to_owned)
            .collect()
    }

    /// Lines of JSON, in order.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.text
            .lines()
            .filter(|line| !line.is_empty())
            .map(parse)
            .collect()
    }
}
