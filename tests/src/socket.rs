//! A WebSocket of the HTTP API.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::http::Http;
use crate::wait::PATIENCE;

/// An open WebSocket.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
}

impl Http {
    /// Opens a WebSocket, or says with which status that was refused.
    pub async fn try_socket(&self, path: &str) -> Result<Socket, u16> {
        let address = self.url.trim_start_matches("http://");
        let mut request = format!("ws://{address}{path}")
            .into_client_request()
            .expect("an address");
        if !self.token.is_empty() {
            let value = format!("Bearer {}", self.token).parse().expect("a token");
            request.headers_mut().insert("authorization", value);
        }
        let connection = TcpStream::connect(address).await.expect("the API accepts");
        match tokio_tungstenite::client_async(request, connection).await {
            Ok((stream, _)) => Ok(Socket { stream }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn socket(&self, path: &str) -> Socket {
        self.try_socket(path).await.expect("the WebSocket opens")
    }
}

impl Socket {
    /// Sends JSON.
    pub async fn say(&mut self, value: &Value) {
        self.text(&value.to_string()).await;
    }

    pub async fn text(&mut self, text: &str) {
        let sent = self.stream.send(Message::text(text)).await;
        sent.expect("the server reads");
    }

    pub async fn bytes(&mut self, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        let sent = self.stream.send(Message::Binary(bytes)).await;
        sent.expect("the server reads");
    }

    /// Sends bytes that need not be WebSocket at all.
    pub async fn raw(&mut self, bytes: &[u8]) {
        use tokio::io::AsyncWriteExt as _;
        let connection = self.stream.get_mut();
        connection.write_all(bytes).await.expect("the server reads");
    }

    /// The next JSON; pings are passed over.
    pub async fn hear(&mut self) -> Value {
        match self.next().await {
            Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")),
            Err(code) => panic!("the server closed the WebSocket: {code:?}"),
        }
    }

    /// What is said until something of this type, that included.
    pub async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.hear().await);
            if heard.last().is_some_and(|value| value["type"] == kind) {
                return heard;
            }
        }
    }

    /// With which code the server closes; `None`: without one.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    async fn next(&mut self) -> Result<String, Option<u16>> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next()).await;
            match message.expect("the server says something") {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    pub async fn ping(&mut self) {
        let sent = self.stream.send(Message::Ping(Bytes::new())).await;
        sent.expect("the server reads");
    }
}
