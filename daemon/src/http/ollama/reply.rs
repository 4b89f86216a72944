//! One answer, as lines or as a whole.

use airunner_core::chat::{Conversation, Message};
use airunner_core::generate::{ClientId, GenerateEvent, GenerateRequest, Input};
use airunner_core::model::Capability;
use airunner_core::tokenize::{TokenizeInput, TokenizeRequest};
use airunner_core::{Fault, ModelName};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;

use super::super::answer::{begin, cut, whole};
use super::super::api::Api;
use super::super::family::Family;
use super::super::stream::lines;
use super::pieces::{Clock, Piece, Pieces};

/// What is asked, and how the client wants to hear the answer.
pub(super) struct Ask {
    pub(super) request: GenerateRequest,
    pub(super) client: ClientId,
    pub(super) stream: bool,
    pub(super) shows_thinking: bool,
    pub(super) clock: Clock,
    /// The tokens of all of it come with the last piece.
    pub(super) remembers: Option<Memory>,
}

/// Tokens of an earlier exchange, and what was asked after it.
#[derive(Clone)]
pub(super) struct Memory {
    pub(super) api: Api,
    pub(super) model: ModelName,
    pub(super) input: Input,
}

impl Memory {
    /// The exchange so far, for the next one; `None` if the model cannot be asked any more.
    async fn tokens(&self, answer: &str) -> Option<Vec<u32>> {
        let mut tokens = match &self.input {
            Input::Tokens(tokens) => tokens.clone(),
            Input::Raw(text) => self.count(text_of(text)).await?,
            Input::Conversation(conversation) => {
                if let Some(tokens) = self.answered(conversation, answer).await {
                    return Some(tokens);
                }
                self.count(TokenizeInput::Conversation(conversation.clone()))
                    .await?
            }
        };
        tokens.extend(self.count(text_of(answer)).await?);
        Some(tokens)
    }

    /// The conversation with the answer as the model's template writes it, up to its end: without
    /// the thoughts that led to it. `None` if the template writes it in another way.
    async fn answered(&self, conversation: &Conversation, answer: &str) -> Option<Vec<u32>> {
        let mut conversation = conversation.clone();
        let answer = Message::new("assistant", answer.trim());
        if answer.content.is_empty() {
            return None;
        }
        conversation.messages.push(answer);
        conversation.continues = true;
        self.count(TokenizeInput::Conversation(conversation)).await
    }

    async fn count(&self, input: TokenizeInput) -> Option<Vec<u32>> {
        let model = self.model.clone();
        let request = TokenizeRequest { model, input };
        self.api.inference.tokenize(request).await.ok()
    }
}

fn text_of(text: &str) -> TokenizeInput {
    TokenizeInput::Text {
        text: text.to_owned(),
        add_special_tokens: false,
    }
}

/// A line of a stream.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<T> {
    Piece(T),
    Error(serde_json::Value),
}

/// Answers; `write` gives the pieces the endpoint's own form.
pub(super) async fn reply<T: Serialize + Send + 'static>(
    api: &Api,
    ask: Ask,
    mut write: impl FnMut(Piece, Option<Vec<u32>>) -> T + Send + 'static,
) -> Result<Response, Fault> {
    let pieces = Pieces::new(ask.shows_thinking, ask.clock);
    let answer = api.inference.generate(ask.client, ask.request)?;
    let memory = ask.remembers;
    if !ask.stream {
        let piece = pieces.whole(whole(answer).await?);
        let tokens = remember(memory, &piece).await;
        return Ok(axum::Json(write(piece, tokens)).into_response());
    }
    let events = begin(answer).await?;
    let told = told(events, pieces)
        .then(move |piece| {
            let memory = memory.clone();
            async move {
                let piece = piece?;
                let tokens = remember(memory, &piece).await;
                Ok((piece, tokens))
            }
        })
        .map(move |told: Result<_, Fault>| match told {
            Ok((piece, tokens)) => Line::Piece(write(piece, tokens)),
            Err(fault) => Line::Error(Family::Ollama.error(&fault)),
        });
    Ok(lines(told))
}

/// The pieces of an answer. What breaks off ends with an error, so that nobody takes it for
/// complete.
fn told(
    events: impl Stream<Item = Result<GenerateEvent, Fault>> + Send,
    mut pieces: Pieces,
) -> impl Stream<Item = Result<Piece, Fault>> + Send {
    let mut ended = false;
    let events = events.map(Some).chain(stream::iter([None]));
    events.flat_map(move |event| {
        let told = match event {
            _ if ended => Vec::new(),
            Some(Ok(event)) => {
                ended = matches!(event, GenerateEvent::Done(_));
                pieces.of(event).into_iter().map(Ok).collect()
            }
            Some(Err(fault)) => {
                ended = true;
                vec![Err(fault)]
            }
            None => vec![Err(cut())],
        };
        stream::iter(told)
    })
}

async fn remember(memory: Option<Memory>, piece: &Piece) -> Option<Vec<u32>> {
    let end = piece.end.as_ref()?;
    memory?.tokens(&end.written).await
}

/// Refuses what the model cannot do.
pub(super) async fn check(api: &Api, model: &ModelName, needed: &[Capability]) -> Result<(), Fault> {
    if needed.is_empty() {
        return Ok(());
    }
    let details = api.models.show(model).await?;
    match needed
        .iter()
        .find(|capability| !details.capabilities.contains(capability))
    {
        None => Ok(()),
        Some(capability) => Err(Fault::invalid(format!(
            "\"{model}\" does not support {}",
            capability.as_str()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use airunner_core::generate::{Done, FinishReason, TextDelta, Timings, Usage};

    use super::*;

    #[tokio::test]
    async fn what_breaks_off_ends_with_one_error() {
        let text = || {
            Ok(GenerateEvent::Text(TextDelta {
                text: "a".to_owned(),
                logprobs: Vec::new(),
            }))
        };
        let done = || {
            Ok(GenerateEvent::Done(Done {
                finish_reason: FinishReason::Stop,
                stop_sequence: None,
                usage: Usage::default(),
                timings: Timings::default(),
            }))
        };
        for (events, complete) in [
            (vec![text(), done()], true),
            (vec![text()], false),
            (vec![text(), Err(Fault::invalid("no"))], false),
        ] {
            let pieces = Pieces::new(true, Clock::start());
            let told: Vec<_> = told(stream::iter(events), pieces).collect().await;
            assert_eq!(told.len(), 2);
            assert!(told[0].is_ok());
            assert_eq!(told[1].is_ok(), complete);
        }
    }
}
