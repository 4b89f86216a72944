//! A WebSocket whose peer may be slow, silent or hostile.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use serde::Serialize;
use tokio::time::Instant;
use tungstenite::Error;

/// How long a peer may take to read one message.
const SEND_TIME: Duration = Duration::from_secs(30);
/// How long a peer may be silent before it is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long the other side may take to close.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Connection {
    socket: WebSocket,
    largest: usize,
    next_ping: Instant,
    /// It has not answered the last ping.
    is_silent: bool,
}

/// What arrives.
pub(super) enum Received {
    Text(String),
    /// The connection has to end; with a reason to be told, unless the peer is gone.
    End(Option<Farewell>),
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Farewell {
    code: u16,
    reason: &'static str,
}

impl Farewell {
    pub(super) const AWAY: Self = Self {
        code: close_code::AWAY,
        reason: "the daemon is shutting down",
    };
    pub(super) const MOVED: Self = Self {
        code: close_code::AWAY,
        reason: "the HTTP API is not served at this address any more",
    };
    pub(super) const KEY_GONE: Self = Self {
        code: close_code::POLICY,
        reason: "the key was revoked or has expired",
    };
    const BINARY: Self = Self {
        code: close_code::UNSUPPORTED,
        reason: "send text, not bytes",
    };
    const TOO_LARGE: Self = Self {
        code: close_code::SIZE,
        reason: "the message is too large",
    };
    const NOT_TEXT: Self = Self {
        code: close_code::INVALID,
        reason: "the text is not UTF-8",
    };
    const PROTOCOL: Self = Self {
        code: close_code::PROTOCOL,
        reason: "this is not the WebSocket protocol",
    };
}

/// The peer is gone or does not read.
pub(super) struct Gone;

impl Connection {
    pub(super) fn new(socket: WebSocket, largest: usize) -> Self {
        Self {
            socket,
            largest,
            next_ping: Instant::now() + PING_EVERY,
            is_silent: false,
        }
    }

    /// The next text. Pings are sent and answered meanwhile. It may be dropped at any time.
    pub(super) async fn receive(&mut self) -> Received {
        loop {
            let message = tokio::select! {
                message = self.socket.recv() => message,
                () = tokio::time::sleep_until(self.next_ping) => {
                    if self.ping().await.is_err() {
                        return Received::End(None);
                    }
                    continue;
                }
            };
            self.is_silent = false;
            self.next_ping = Instant::now() + PING_EVERY;
            match message {
                Some(Ok(Message::Text(text))) if text.len() > self.largest => {
                    return Received::End(Some(Farewell::TOO_LARGE));
                }
                Some(Ok(Message::Text(text))) => return Received::Text(text.as_str().to_owned()),
                Some(Ok(Message::Binary(_))) => return Received::End(Some(Farewell::BINARY)),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Received::End(None),
                Some(Err(error)) => return Received::End(farewell(error)),
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        if self.is_silent {
            tracing::debug!("a WebSocket does not answer");
            return Err(Gone);
        }
        self.is_silent = true;
        self.next_ping = Instant::now() + PING_EVERY;
        self.pass_on(Message::Ping(Vec::new().into())).await
    }

    /// Sends JSON.
    pub(super) async fn send(&mut self, value: &impl Serialize) -> Result<(), Gone> {
        // A value of our own types always becomes JSON.
        let text = serde_json::to_string(value).unwrap_or_default();
        self.pass_on(Message::Text(text.into())).await
    }

    async fn pass_on(&mut self, message: Message) -> Result<(), Gone> {
        match tokio::time::timeout(SEND_TIME, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Gone),
            Err(_) => {
                tracing::info!("a WebSocket does not read and is dropped");
                Err(Gone)
            }
        }
    }

    /// Says why, and gives the other side a moment to read it.
    pub(super) async fn close(mut self, farewell: Farewell) {
        let frame = CloseFrame {
            code: farewell.code,
            reason: farewell.reason.into(),
        };
        let close = async {
            if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        };
        if tokio::time::timeout(CLOSE_TIME, close).await.is_err() {
            tracing::debug!("a WebSocket did not close in time");
        }
    }
}

fn farewell(error: axum::Error) -> Option<Farewell> {
    let error = error.into_inner().downcast::<Error>().ok()?;
    match *error {
        Error::Capacity(_) => Some(Farewell::TOO_LARGE),
        Error::Utf8(_) => Some(Farewell::NOT_TEXT),
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(Farewell::PROTOCOL),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_)
        | Error::Tls(_) => None,
    }
}
