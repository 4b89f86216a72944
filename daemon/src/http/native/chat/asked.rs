//! A request on its way: which model it is for, what belongs to its conversation, and its events.

use airunner_core::access::Caller;
use airunner_core::conversation::ConversationId;
use airunner_core::generate::{ClientId, Done, GenerateEvent, GenerateRequest};
use airunner_core::{Fault, ModelName};
use futures_util::{Stream, StreamExt as _, stream};

use super::reply::{ChatReply, CompletionReply, DoneBody, Gathered, Said, calls, logprobs, message};
use super::request::{ChatRequest, CompletionRequest};
use crate::conversations::Turn;
use crate::http::answer::{self, Whole};
use crate::http::api::{Api, model_name};
use crate::inference::Answer;

/// A request that was taken.
pub(in crate::http::native) struct Asked {
    pub(in crate::http::native) model: ModelName,
    answer: Answer,
    turn: Option<Turn>,
}

/// Hands a conversation to its model.
pub(in crate::http::native) async fn chat(
    api: &Api,
    caller: &Caller,
    mut request: ChatRequest,
) -> Result<Asked, Fault> {
    let said = request.take_messages()?;
    let Some(id) = request.conversation_id.take() else {
        let model = model(api, request.model()).await?;
        let request = request.generate(model, said)?;
        return ask(api, caller, request, None);
    };
    let turn = api.conversations.begin(caller, ConversationId(id), said).await?;
    let own = Some(turn.model()).filter(|model| !model.is_empty());
    let model = model(api, request.model().or(own)).await?;
    let request = request.generate(model, turn.messages())?;
    ask(api, caller, request, Some(turn))
}

/// Hands a text to its model.
pub(in crate::http::native) async fn completion(
    api: &Api,
    caller: &Caller,
    request: CompletionRequest,
) -> Result<Asked, Fault> {
    let model = model(api, request.model()).await?;
    let request = request.generate(model)?;
    ask(api, caller, request, None)
}

fn ask(api: &Api, caller: &Caller, request: GenerateRequest, turn: Option<Turn>) -> Result<Asked, Fault> {
    let model = request.model.clone();
    let answer = api.inference.generate(ClientId::holder(caller.key), request)?;
    Ok(Asked { model, answer, turn })
}

/// The model of that name, or the one that is meant without a name.
pub(in crate::http::native) async fn model(api: &Api, name: Option<&str>) -> Result<ModelName, Fault> {
    match name {
        Some(name) => model_name(name),
        None => api.inference.default_model().await,
    }
}

impl Asked {
    pub(super) async fn chat_reply(self) -> Result<ChatReply, Fault> {
        let Whole {
            text,
            reasoning,
            calls: called,
            logprobs: likely,
            done,
            ..
        } = answer::whole(self.answer).await?;
        let called = calls(called);
        let id = self.turn.as_ref().map(|turn| turn.id().to_string());
        if let Some(turn) = self.turn {
            let message = message(text.clone(), reasoning.clone(), called.clone());
            turn.end(message, self.model.to_string()).await?;
        }
        Ok(ChatReply {
            content: text,
            reasoning: (!reasoning.is_empty()).then_some(reasoning),
            tool_calls: called,
            logprobs: logprobs(likely),
            end: DoneBody::new(self.model.to_string(), id, &done),
        })
    }

    pub(super) async fn completion_reply(self) -> Result<CompletionReply, Fault> {
        let Whole {
            text,
            logprobs: likely,
            done,
            ..
        } = answer::whole(self.answer).await?;
        Ok(CompletionReply {
            text,
            logprobs: logprobs(likely),
            end: DoneBody::new(self.model.to_string(), None, &done),
        })
    }

    /// The events, once it is clear that there will be some or that it takes long.
    pub(super) async fn patient_events(self) -> Result<impl Stream<Item = Said> + Send + use<>, Fault> {
        let events = answer::begin(self.answer).await?.boxed();
        Ok(told(self.model, self.turn, events))
    }

    /// The events at once.
    pub(in crate::http::native) fn events(self) -> impl Stream<Item = Said> + Send + use<> {
        let events = answer::all(self.answer).boxed();
        told(self.model, self.turn, events)
    }
}

type Events = stream::BoxStream<'static, Result<GenerateEvent, Fault>>;

fn told(model: ModelName, turn: Option<Turn>, events: Events) -> impl Stream<Item = Said> + Send + use<> {
    let start = Said::Start {
        model: model.to_string(),
        conversation_id: turn.as_ref().map(|turn| turn.id().to_string()),
    };
    let telling = Telling {
        model,
        turn,
        events,
        gathered: Gathered::default(),
    };
    stream::iter([start]).chain(stream::unfold(Some(telling), Telling::next))
}

/// An answer that is told piece by piece.
struct Telling {
    model: ModelName,
    turn: Option<Turn>,
    events: Events,
    gathered: Gathered,
}

impl Telling {
    async fn next(telling: Option<Self>) -> Option<(Said, Option<Self>)> {
        let mut telling = telling?;
        loop {
            let event = telling
                .events
                .next()
                .await
                .unwrap_or_else(|| Err(Fault::internal("the answer ended too early")));
            let said = match event {
                Err(fault) => return Some((Said::error(&fault), None)),
                Ok(GenerateEvent::Done(done)) => return Some((telling.end(&done).await, None)),
                Ok(GenerateEvent::Queued(queued)) => Said::queued(queued),
                Ok(GenerateEvent::Loading(progress)) => Said::loading(progress),
                Ok(GenerateEvent::Prompt { .. }) => continue,
                Ok(GenerateEvent::Text(delta)) => Said::chunk(delta),
                Ok(GenerateEvent::Reasoning(delta)) => Said::Reasoning { content: delta.text },
                Ok(GenerateEvent::ToolCall(delta)) => Said::call(delta),
            };
            // Nothing is gathered unless it is to be stored.
            if telling.turn.is_some() {
                telling.gathered.hear(&said);
            }
            return Some((said, Some(telling)));
        }
    }

    /// Whoever reads the last event finds the conversation as it is then.
    async fn end(self, done: &Done) -> Said {
        let id = self.turn.as_ref().map(|turn| turn.id().to_string());
        if let Some(turn) = self.turn {
            let message = self.gathered.message();
            if let Err(fault) = turn.end(message, self.model.to_string()).await {
                return Said::error(&fault);
            }
        }
        Said::Done(DoneBody::new(self.model.to_string(), id, done))
    }
}
