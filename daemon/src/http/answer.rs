//! An answer of a model on its way to a client.

use std::time::Duration;

use airunner_core::Fault;
use airunner_core::generate::{Done, FinishReason, GenerateEvent, TokenLogprob, ToolCallDelta};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::inference::Answer;

/// How long a stream waits with its headers for the model, so that a refusal still gets its own
/// status. Later a client would take the silence for a dead server.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

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

/// The calls of an answer without a last one that was cut off: told with what can be read of it,
/// it would look like a call that the model meant.
pub(super) fn complete(mut calls: Vec<Call>, done: &Done) -> Vec<Call> {
    let cut = matches!(done.finish_reason, FinishReason::Length | FinishReason::Cancelled);
    let readable = |call: &Call| serde_json::from_str::<Map<String, Value>>(&call.arguments).is_ok();
    if cut && calls.last().is_some_and(|call| !readable(call)) {
        calls.pop();
    }
    calls
}

/// Switches thinking on or off: templates of the field call the variable by one name or the other.
pub(super) fn thinking_variables(thinks: bool) -> Map<String, Value> {
    let names = ["enable_thinking", "thinking"].into_iter();
    names.map(|name| (name.to_owned(), thinks.into())).collect()
}

/// How likely a token was, as JSON can say it: it has no infinities. An impossible token gets the
/// number that OpenAI writes for it.
pub(super) const fn finite(logprob: f32) -> f32 {
    logprob.max(-9999.0)
}

/// The events of an answer, once it is clear that there will be some or that it takes long.
pub(super) async fn begin(
    mut answer: Answer,
) -> Result<impl Stream<Item = Result<GenerateEvent, Fault>> + Send + use<>, Fault> {
    let deadline = Instant::now() + PATIENCE;
    let mut early = Vec::new();
    while let Ok(event) = tokio::time::timeout_at(deadline, answer.recv()).await {
        let event = event.ok_or_else(cut)??;
        let waits = waits(&event);
        early.push(Ok(event));
        if !waits {
            break;
        }
    }
    Ok(stream::iter(early).chain(ReceiverStream::new(answer)))
}

/// Whether the answer has not begun yet.
pub(super) const fn waits(event: &GenerateEvent) -> bool {
    matches!(event, GenerateEvent::Queued(_) | GenerateEvent::Loading(_))
}

/// The events of an answer as they come.
pub(super) fn all(answer: Answer) -> impl Stream<Item = Result<GenerateEvent, Fault>> + Send + use<> {
    ReceiverStream::new(answer)
}

pub(super) fn cut() -> Fault {
    Fault::internal("the answer ended too early")
}

#[cfg(test)]
mod tests {
    use airunner_core::generate::{Timings, Usage};

    use super::*;

    #[test]
    fn a_call_that_was_cut_off_is_none() {
        let call = |arguments: &str| Call {
            id: "call_0".into(),
            name: "f".into(),
            arguments: arguments.into(),
        };
        for (finish_reason, last, left) in [
            (FinishReason::Length, "{\"x\": ", 1),
            (FinishReason::Length, "", 1),
            (FinishReason::Length, "{}", 2),
            (FinishReason::ToolCalls, "nonsense", 2),
        ] {
            let done = Done {
                finish_reason,
                stop_sequence: None,
                usage: Usage::default(),
                timings: Timings::default(),
            };
            assert_eq!(complete(vec![call("{}"), call(last)], &done).len(), left);
        }
    }

    #[test]
    fn templates_and_json_get_what_they_can_read() {
        let variables = thinking_variables(false);
        assert_eq!(
            (&variables["enable_thinking"], &variables["thinking"]),
            (&false.into(), &false.into())
        );
        assert_eq!((finite(f32::NEG_INFINITY), finite(-0.5)), (-9999.0, -0.5));
    }
}
