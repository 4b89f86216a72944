//! What the rest of the daemon asks.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use airunner_core::access::{Caller, KeyId};
use airunner_core::generate::MAX_PROMPT_BYTES;
use airunner_core::{ErrorKind, Fault};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::actor::{Actor, Message, Work};
use crate::storage::{ResponseBounds, ResponseRecord, Storage};

/// Calls that may wait for the actor.
const CALLS: usize = 16;
/// Answers one conversation may be made of.
const MAX_CHAIN: usize = 512;
/// For the answers of one owner.
const BOUNDS: ResponseBounds = ResponseBounds {
    count: 1000,
    age: Duration::from_secs(30 * 24 * 60 * 60),
    bytes: 256 << 20,
};

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub id: String,
    pub owner: Option<KeyId>,
    pub previous: Option<String>,
    pub created: SystemTime,
    pub body: Value,
    /// The items it answered.
    pub input: Vec<Value>,
}

/// The way to the answers that are kept.
#[derive(Clone, Debug)]
pub struct Responses {
    storage: Storage,
    sender: mpsc::Sender<Message>,
}

impl Responses {
    /// The handle, and the actor to run.
    #[must_use]
    pub fn new(storage: Storage) -> (Self, Actor) {
        let (sender, receiver) = mpsc::channel(CALLS);
        let actor = Actor::new(receiver, storage.clone());
        (Self { storage, sender }, actor)
    }

    /// Keeps an answer. The oldest of the same owner go when there are too many.
    pub async fn keep(&self, response: &Response) -> Result<(), Fault> {
        let record = ResponseRecord {
            id: response.id.clone(),
            owner: response.owner,
            previous: response.previous.clone(),
            created: response.created,
            body: response.body.to_string(),
            input: Value::from(response.input.clone()).to_string(),
        };
        self.storage.put_response(record, BOUNDS).await
    }

    /// Keeps an answer that is still to be made, and lets `work` make it.
    pub async fn start(&self, response: &Response, work: Work) -> Result<(), Fault> {
        let (reply, answer) = oneshot::channel();
        self.keep(response).await?;
        let start = Message::Start {
            id: response.id.clone(),
            owner: response.owner,
            work,
            reply,
        };
        let started = self.ask(start, answer).await;
        if let Err(fault) | Ok(Err(fault)) = started {
            self.storage.remove_response(response.id.clone()).await?;
            return Err(fault);
        }
        Ok(())
    }

    /// The answer of this name, if the caller may see it.
    pub async fn find(&self, id: &str, caller: &Caller) -> Result<Response, Fault> {
        let (response, _) = self.find_sized(id, caller).await?;
        Ok(response)
    }

    /// With the bytes it takes as it is kept.
    async fn find_sized(&self, id: &str, caller: &Caller) -> Result<(Response, usize), Fault> {
        // In this order: what ends in between is kept as it ended.
        let runs = self.runs(id).await?;
        let record = self.storage.response(id.to_owned()).await?;
        let record = record
            .filter(|record| caller.sees(record.owner))
            .ok_or_else(|| not_found(id))?;
        let bytes = record.body.len() + record.input.len();
        let mut response = read(record)?;
        if is_open(&response.body) && !runs {
            interrupt(&mut response.body);
        }
        Ok((response, bytes))
    }

    /// This answer and those before it, the first first.
    pub async fn chain(&self, id: &str, caller: &Caller) -> Result<Vec<Response>, Fault> {
        let mut chain = Vec::new();
        let mut seen = BTreeSet::new();
        let mut bytes = 0;
        let mut next = Some(id.to_owned());
        while let Some(id) = next.take() {
            if chain.len() >= MAX_CHAIN || !seen.insert(id.clone()) {
                return Err(Fault::invalid(format!(
                    "the conversation is made of more than {MAX_CHAIN} answers: begin a new one"
                )));
            }
            let (response, size) = self.find_sized(&id, caller).await?;
            bytes += size;
            if bytes > MAX_PROMPT_BYTES {
                return Err(Fault::invalid(format!(
                    "the answers of the conversation have more than {MAX_PROMPT_BYTES} bytes: begin a new one"
                )));
            }
            if is_open(&response.body) {
                return Err(Fault::new(
                    ErrorKind::Busy,
                    format!("{id} is still being made: wait for its end"),
                ));
            }
            next.clone_from(&response.previous);
            chain.push(response);
        }
        chain.reverse();
        Ok(chain)
    }

    /// Drops an answer; one that is being made is given up.
    pub async fn remove(&self, id: &str, caller: &Caller) -> Result<(), Fault> {
        self.find(id, caller).await?;
        self.stop(id).await?;
        self.storage.remove_response(id.to_owned()).await?;
        Ok(())
    }

    /// Gives up an answer that is being made in the background. One that has ended stays as it is.
    pub async fn cancel(&self, id: &str, caller: &Caller) -> Result<Response, Fault> {
        let mut response = self.find(id, caller).await?;
        if response.body.get("background") != Some(&Value::Bool(true)) {
            return Err(Fault::invalid(
                "only an answer that is made in the background can be cancelled: close the connection instead",
            ));
        }
        if self.stop(id).await? {
            response.body["status"] = "cancelled".into();
            let body = response.body.to_string();
            self.storage.set_response_body(id.to_owned(), body).await?;
            return Ok(response);
        }
        self.find(id, caller).await
    }

    /// Nothing new begins, and what is being made comes to its end and is kept.
    pub async fn end(&self) {
        let (reply, answer) = oneshot::channel();
        // An actor that is gone has nothing left to end.
        drop(self.ask(Message::End(reply), answer).await);
    }

    async fn runs(&self, id: &str) -> Result<bool, Fault> {
        let (reply, answer) = oneshot::channel();
        let id = id.to_owned();
        self.ask(Message::IsRunning { id, reply }, answer).await
    }

    async fn stop(&self, id: &str) -> Result<bool, Fault> {
        let (reply, answer) = oneshot::channel();
        let id = id.to_owned();
        self.ask(Message::Stop { id, reply }, answer).await
    }

    async fn ask<T>(&self, message: Message, answer: oneshot::Receiver<T>) -> Result<T, Fault> {
        let ended = || Fault::new(ErrorKind::ShuttingDown, "the daemon is shutting down");
        self.sender.send(message).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}

fn read(record: ResponseRecord) -> Result<Response, Fault> {
    let damaged = |error| Fault::internal(format!("a kept answer is damaged: {error}"));
    Ok(Response {
        body: serde_json::from_str(&record.body).map_err(damaged)?,
        input: serde_json::from_str(&record.input).map_err(damaged)?,
        id: record.id,
        owner: record.owner,
        previous: record.previous,
        created: record.created,
    })
}

fn is_open(body: &Value) -> bool {
    matches!(body["status"].as_str(), Some("queued" | "in_progress"))
}

/// Nobody makes it any more.
fn interrupt(body: &mut Value) {
    body["status"] = "failed".into();
    body["error"] = json!({
        "code": "server_error",
        "message": "the daemon ended before the answer was complete: ask again",
    });
}

fn not_found(id: &str) -> Fault {
    let shown: String = id.chars().take(80).collect();
    Fault::new(
        ErrorKind::NotFound,
        format!("no answer called {shown:?} is kept: it was not stored, or is too old"),
    )
}
