//! Many requests over one WebSocket.
//!
//! One task has the socket; each request has one of its own, which ends with the socket. What the
//! requests say comes through one bounded channel, so a peer that reads slowly slows them down,
//! and one that does not read at all loses them.

use std::collections::HashMap;

use airunner_core::access::Caller;
use airunner_core::chat::Message;
use airunner_core::{ErrorKind, Fault};
use axum::extract::ws::WebSocket;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Farewell, Gone, Received};
use super::frames::{Asked, Frame, read};
use crate::http::api::Api;
use crate::http::guard::Visitor;
use crate::http::native::chat::{self, ChatRequest, DoneBody, Gathered, Said};
use crate::http::server::Moved;
use crate::traces::{current, within};

/// Requests of one socket at once.
const REQUESTS: usize = 32;
/// Pieces of answers that may wait for the peer.
const OUTGOING: usize = 16;

/// A piece of an answer on its way to the peer.
struct Outgoing {
    id: String,
    said: Said,
    /// What is to be remembered with the last piece.
    remembered: Option<Message>,
}

/// A request that is being answered.
struct Ongoing {
    cancelled: CancellationToken,
    task: tokio::task::Id,
}

/// One socket.
struct Session {
    api: Api,
    caller: Caller,
    visitor: Visitor,
    connection: Connection,
    requests: HashMap<String, Ongoing>,
    tasks: JoinSet<()>,
    sender: mpsc::Sender<Outgoing>,
    outgoing: mpsc::Receiver<Outgoing>,
    /// What was said on this socket, for messages that go on from there.
    conversation: Vec<Message>,
    /// The request that goes on from there.
    going_on: Option<(String, Message)>,
}

pub(super) async fn serve(socket: WebSocket, api: Api, caller: Caller, visitor: Visitor, moved: &Moved) {
    let (sender, outgoing) = mpsc::channel(OUTGOING);
    let largest = api.limits.borrow().body_bytes;
    let session = Session {
        connection: Connection::new(socket, largest),
        api,
        caller,
        visitor,
        requests: HashMap::new(),
        tasks: JoinSet::new(),
        sender,
        outgoing,
        conversation: Vec::new(),
        going_on: None,
    };
    session.run(moved).await;
}

impl Session {
    async fn run(mut self, moved: &Moved) {
        let ending = self.api.ending.clone();
        let mut asked = std::pin::pin!(ending.asked());
        let mut lost = std::pin::pin!(self.visitor.lost());
        let mut moved = std::pin::pin!(moved.told());
        let mut farewell = None;
        loop {
            // Requests that run may finish; then the socket goes.
            if let Some(farewell) = farewell
                && self.requests.is_empty()
            {
                return self.connection.close(farewell).await;
            }
            let result = tokio::select! {
                () = &mut asked, if farewell.is_none() => {
                    farewell = Some(Farewell::AWAY);
                    Ok(())
                }
                () = &mut moved, if farewell.is_none() => {
                    farewell = Some(Farewell::MOVED);
                    Ok(())
                }
                _ = &mut lost => {
                    // The work stops before the farewell.
                    drop(self.tasks);
                    return self.connection.close(Farewell::KEY_GONE).await;
                }
                Some(outgoing) = self.outgoing.recv() => self.pass_on(outgoing).await,
                Some(ended) = self.tasks.join_next() => self.forget(ended).await,
                received = self.connection.receive() => match received {
                    Received::Text(text) => self.hear(&text).await,
                    Received::End(Some(farewell)) => {
                        // The work stops before the farewell.
                        drop(self.tasks);
                        return self.connection.close(farewell).await;
                    }
                    Received::End(None) => return,
                },
            };
            if result.is_err() {
                return;
            }
        }
    }

    async fn pass_on(&mut self, outgoing: Outgoing) -> Result<(), Gone> {
        let Outgoing { id, said, remembered } = outgoing;
        if said.is_last() {
            // Before it is told, so that the name may be used again at once.
            self.requests.remove(&id);
            if let Some((_, message)) = self.going_on.take_if(|(name, _)| *name == id)
                && let Some(answer) = remembered
            {
                self.conversation.extend([message, answer]);
            }
        }
        self.connection.send(&Frame::new(Some(&id), &said)).await
    }

    /// A request that fails by a defect says nothing more, so that is done for it.
    async fn forget(&mut self, ended: Result<(), JoinError>) -> Result<(), Gone> {
        let Err(defect) = ended else { return Ok(()) };
        let of_task = |(id, ongoing): (&String, &Ongoing)| (ongoing.task == defect.id()).then(|| id.clone());
        let Some(id) = self.requests.iter().find_map(of_task) else {
            return Ok(());
        };
        self.requests.remove(&id);
        self.going_on.take_if(|(name, _)| *name == id);
        let said = Said::error(&Fault::internal(format!("answering failed: {defect}")));
        self.connection.send(&Frame::new(Some(&id), &said)).await
    }

    async fn hear(&mut self, text: &str) -> Result<(), Gone> {
        let (id, fault) = match read(text) {
            Ok(Asked::Cancel { id }) => match self.requests.get(&id) {
                Some(request) => {
                    request.cancelled.cancel();
                    return Ok(());
                }
                None => (None, unknown(&id)),
            },
            Ok(Asked::Chat { id, request, goes_on }) => match self.begin(&id, *request, goes_on) {
                Ok(()) => return Ok(()),
                // The name belongs to the request that has it.
                Err(fault) if self.requests.contains_key(&id) => (None, fault),
                Err(fault) => (Some(id), fault),
            },
            Err(misunderstood) => {
                let id = misunderstood.id.filter(|id| !self.requests.contains_key(id));
                (id, misunderstood.fault)
            }
        };
        self.connection
            .send(&Frame::new(id.as_deref(), &Said::error(&fault)))
            .await
    }

    fn begin(&mut self, id: &str, mut request: ChatRequest, goes_on: bool) -> Result<(), Fault> {
        if self.requests.contains_key(id) {
            return Err(Fault::invalid(format!(
                "a request {id:?} is being answered: give this one another id"
            )));
        }
        if self.requests.len() >= REQUESTS {
            return Err(Fault::new(
                ErrorKind::QueueFull,
                format!("{REQUESTS} requests of this socket are being answered: wait for one"),
            ));
        }
        // Each counts like a request of its own.
        self.visitor.count()?;
        if goes_on {
            self.go_on(id, &mut request)?;
        }
        let cancelled = CancellationToken::new();
        let running = Running {
            api: self.api.clone(),
            caller: self.caller.clone(),
            id: id.to_owned(),
            sender: self.sender.clone(),
            remembers: goes_on,
        };
        let work = within(current(), running.run(request, cancelled.clone()));
        let task = self.tasks.spawn(work).id();
        self.requests.insert(id.to_owned(), Ongoing { cancelled, task });
        Ok(())
    }

    /// Puts before the message what was said so far.
    fn go_on(&mut self, id: &str, request: &mut ChatRequest) -> Result<(), Fault> {
        if self.going_on.is_some() {
            return Err(Fault::new(
                ErrorKind::Busy,
                "the conversation of this socket is being answered: wait for the end, or cancel that",
            ));
        }
        if let Some(message) = request.precede(&self.conversation)? {
            self.going_on = Some((id.to_owned(), message));
        }
        Ok(())
    }
}

/// One request.
struct Running {
    api: Api,
    caller: Caller,
    id: String,
    sender: mpsc::Sender<Outgoing>,
    remembers: bool,
}

impl Running {
    async fn run(self, request: ChatRequest, cancelled: CancellationToken) {
        let model = std::sync::OnceLock::new();
        let outcome = tokio::select! {
            biased;
            () = cancelled.cancelled() => None,
            outcome = self.answer(request, &model) => Some(outcome),
        };
        let last = match outcome {
            Some(Ok(())) => return,
            Some(Err(fault)) => Said::error(&fault),
            None => Said::Done(DoneBody::cancelled(model.get().cloned().unwrap_or_default())),
        };
        self.say(last, None).await;
    }

    async fn answer(&self, request: ChatRequest, model: &std::sync::OnceLock<String>) -> Result<(), Fault> {
        let asked = chat::ask(&self.api, &self.caller, request).await?;
        // For a request that is cancelled later.
        drop(model.set(asked.model.to_string()));
        let mut gathered = Gathered::default();
        let mut events = Box::pin(asked.events());
        while let Some(said) = events.next().await {
            if self.remembers {
                gathered.hear(&said);
            }
            let is_done = matches!(said, Said::Done(_));
            let remembered = (self.remembers && is_done).then(|| std::mem::take(&mut gathered).message());
            self.say(said, remembered).await;
        }
        Ok(())
    }

    async fn say(&self, said: Said, remembered: Option<Message>) {
        let outgoing = Outgoing {
            id: self.id.clone(),
            said,
            remembered,
        };
        // Without a socket there is nobody to tell.
        drop(self.sender.send(outgoing).await);
    }
}

fn unknown(id: &str) -> Fault {
    Fault::new(
        ErrorKind::NotFound,
        format!("no request {id:?} is being answered"),
    )
}
