//! An answer of a model on its way to a client.

use std::time::Duration;

use airunner_core::Fault;
use airunner_core::generate::{Done, GenerateEvent, TokenLogprob, ToolCallDelta};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::inference::Answer;

/// How long a stream waits with its headers for the model, so that a refusal still gets its own
/// status. Later a client would take the silence for a dead server.
const PATIENCE: Duration = Duration::from_secs(10);

/// All of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Whole {
    pub(super) text: String,
    pub(super) reasoning: String,
    /// Pieces of the reasoning, which are its tokens but for those that made no text alone.
    pub(super) reasoning_tokens: u32,
    pub(super) calls: Vec<Call>,
    /// Of the text alone.
    pub(super) logprobs: Vec<TokenLogprob>,
    pub(super) done: Done,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// A JSON object.
    pub(super) arguments: String,
}

/// Waits for the end.
pub(super) async fn whole(mut answer: Answer) -> Result<Whole, Fault> {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let (mut calls, mut logprobs) = (Vec::new(), Vec::new());
    let mut reasoning_tokens = 0;
    while let Some(event) = answer.recv().await {
        match event? {
            GenerateEvent::Text(delta) => {
                text.push_str(&delta.text);
                logprobs.extend(delta.logprobs);
            }
            GenerateEvent::Reasoning(delta) => {
                reasoning.push_str(&delta.text);
                reasoning_tokens += 1;
            }
            GenerateEvent::ToolCall(delta) => add(&mut calls, delta),
            GenerateEvent::Done(done) => {
                return Ok(Whole {
                    text,
                    reasoning,
                    reasoning_tokens,
                    calls,
                    logprobs,
                    done,
                });
            }
            GenerateEvent::Queued(_) | GenerateEvent::Loading(_) | GenerateEvent::Prompt { .. } => {}
        }
    }
    Err(cut())
}

/// Adds a piece of a call to the calls so far.
pub(super) fn add(calls: &mut Vec<Call>, delta: ToolCallDelta) {
    let index = delta.index as usize;
    // Calls come one after the other.
    if index >= calls.len() {
        calls.push(Call::default());
    }
    let Some(call) = calls.last_mut() else { return };
    if let Some(id) = delta.id {
        call.id = id;
    }
    if let Some(name) = delta.name {
        call.name = name;
    }
    call.arguments.push_str(&delta.arguments);
}

/// The events of an answer, once it is clear that there will be some or that it takes long.
pub(super) async fn begin(
    mut answer: Answer,
) -> Result<impl Stream<Item = Result<GenerateEvent, Fault>> + Send + use<>, Fault> {
    let deadline = Instant::now() + PATIENCE;
    let mut early = Vec::new();
    while let Ok(event) = tokio::time::timeout_at(deadline, answer.recv()).await {
        let event = event.ok_or_else(cut)??;
        let waits = matches!(event, GenerateEvent::Queued(_) | GenerateEvent::Loading(_));
        early.push(Ok(event));
        if !waits {
            break;
        }
    }
    Ok(stream::iter(early).chain(ReceiverStream::new(answer)))
}

/// The events of an answer as they come.
pub(super) fn all(answer: Answer) -> impl Stream<Item = Result<GenerateEvent, Fault>> + Send + use<> {
    ReceiverStream::new(answer)
}

fn cut() -> Fault {
    Fault::internal("the answer ended too early")
}
