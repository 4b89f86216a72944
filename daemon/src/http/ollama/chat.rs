//! `POST /api/chat`.

use std::collections::VecDeque;

use airunner_core::Fault;
use airunner_core::access::Caller;
use airunner_core::chat::{Conversation, Message, Tool, ToolCall};
use airunner_core::generate::{ClientId, GenerateRequest, Input};
use airunner_core::model::Capability;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::api::Api;
use super::super::failure::Failure;
use super::super::payload::Payload;
use super::dates::now;
use super::load::{make_room, switch};
use super::names::find;
use super::options::{Kept, Options, Think, format};
use super::pieces::{CallOut, Clock, Figures, Logprob, Piece, calls, logprobs};
use super::reply::{Ask, check, reply};

/// A conversation, and how to go on with it.
#[derive(Deserialize, ToSchema)]
pub(super) struct ChatRequest {
    pub(super) model: String,
    /// Without any, the model is loaded, or unloaded with a `keep_alive` of 0.
    pub(super) messages: Option<Vec<MessageIn>>,
    pub(super) tools: Option<Vec<ToolIn>>,
    /// `json` or a JSON schema.
    #[schema(value_type = Option<Object>)]
    pub(super) format: Option<Value>,
    pub(super) options: Option<Options>,
    /// Lines of JSON as they come; without it, true.
    pub(super) stream: Option<bool>,
    pub(super) think: Option<Think>,
    /// Seconds, or a text such as `5m`; negative: for ever; 0: unload after the answer.
    #[schema(value_type = Option<String>)]
    pub(super) keep_alive: Option<Kept>,
    pub(super) logprobs: Option<bool>,
    /// Alternatives for each token, at most 20.
    pub(super) top_logprobs: Option<u32>,
}

/// One turn.
#[derive(Deserialize, ToSchema)]
pub(super) struct MessageIn {
    /// `system`, `user`, `assistant` or `tool`.
    role: String,
    content: Option<String>,
    thinking: Option<String>,
    /// Refused: no model that runs here can see.
    #[schema(value_type = Option<Vec<String>>)]
    images: Option<Vec<Value>>,
    tool_calls: Option<Vec<CallIn>>,
    /// In a turn of a tool: which it is.
    tool_name: Option<String>,
    tool_call_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct CallIn {
    id: Option<String>,
    function: CalledIn,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct CalledIn {
    name: String,
    /// An object, or its JSON text.
    #[serde(default)]
    #[schema(value_type = Object)]
    arguments: Value,
}

/// A function that the model may call.
#[derive(Deserialize, ToSchema)]
pub(super) struct ToolIn {
    function: FunctionIn,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct FunctionIn {
    name: String,
    description: Option<String>,
    /// A JSON schema.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
}

/// A line of an answer, or all of it.
#[derive(Serialize, ToSchema)]
pub(super) struct ChatAnswer {
    model: String,
    created_at: String,
    message: MessageOut,
    done: bool,
    /// `stop`, `length`, `load` or `unload`; in the last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    done_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logprobs: Vec<Logprob>,
    #[serde(flatten)]
    figures: Option<Figures>,
}

#[derive(Default, Serialize, ToSchema)]
struct MessageOut {
    role: &'static str,
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thinking: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallOut>,
}

/// Goes on with a conversation.
#[utoipa::path(post, path = "/api/chat", tag = "ollama", request_body = ChatRequest, responses(
    (status = 200, body = ChatAnswer, content_type = "application/x-ndjson"),
    (status = 400, description = "the request is wrong"),
    (status = 404, description = "no such model"),
))]
pub(super) async fn chat(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(request): Payload<ChatRequest>,
) -> Result<Response, Failure> {
    let mut clock = Clock::start();
    let model = find(&api, &request.model).await?;
    let called = request.model.clone();
    let kept = request.keep_alive;
    let context = request
        .options
        .as_ref()
        .map_or(Ok(None), Options::context_length)?;
    if request.messages.as_ref().is_none_or(Vec::is_empty) {
        let done = switch(&api, &caller, model, kept, context).await?;
        return Ok(Json(ChatAnswer::switched(called, done)).into_response());
    }
    check(&api, &model, &needs(&request)).await?;
    let stream = request.stream.unwrap_or(true);
    let shows_thinking = request.think.as_ref().is_none_or(Think::is_on);
    let request = generation(model, request)?;
    request.validate()?;
    clock
        .preparing(make_room(&api, &caller, &request.model, kept, context))
        .await?;
    let ask = Ask {
        request,
        client: ClientId::holder(caller.key),
        stream,
        shows_thinking,
        clock,
        remembers: None,
    };
    let mut told = 0;
    let write = move |piece: Piece, _| {
        let count = piece.calls.len();
        told += count;
        ChatAnswer::of(&called, piece, told - count)
    };
    Ok(reply(&api, ask, write).await?)
}

fn needs(request: &ChatRequest) -> Vec<Capability> {
    let thinks = request.think.as_ref().is_some_and(Think::is_on);
    let calls = request.tools.as_ref().is_some_and(|tools| !tools.is_empty());
    let needed = [(thinks, Capability::Thinking), (calls, Capability::Tools)];
    needed
        .into_iter()
        .filter_map(|(needed, capability)| needed.then_some(capability))
        .collect()
}

fn generation(model: airunner_core::ModelName, request: ChatRequest) -> Result<GenerateRequest, Fault> {
    let conversation = Conversation {
        messages: messages(request.messages.unwrap_or_default())?,
        tools: request.tools.unwrap_or_default().into_iter().map(tool).collect(),
        template_variables: request
            .think
            .map_or_else(|| Ok(Map::new()), |think| think.variables())?,
        ..Conversation::default()
    };
    let mut generation = GenerateRequest::new(model, Input::Conversation(conversation));
    request.options.unwrap_or_default().apply(&mut generation);
    generation.format = format(request.format)?;
    generation.keep_alive = request.keep_alive.map(|kept| kept.0);
    generation.top_logprobs = top_logprobs(request.logprobs, request.top_logprobs);
    Ok(generation)
}

/// How many alternatives to ask for; `None`: no log-probabilities.
pub(super) fn top_logprobs(wanted: Option<bool>, top: Option<u32>) -> Option<u32> {
    let top = top.unwrap_or(0);
    (wanted == Some(true) || top > 0).then_some(top)
}

/// The refusal of images, if there are any.
pub(super) fn no_images(images: Option<&Vec<Value>>) -> Result<(), Fault> {
    if images.is_none_or(Vec::is_empty) {
        Ok(())
    } else {
        Err(Fault::invalid("this model does not support images: send text only").figure("param", "images"))
    }
}

/// The conversation as templates expect it: every call has an identifier, and every answer of a
/// tool names the call it belongs to.
fn messages(messages: Vec<MessageIn>) -> Result<Vec<Message>, Fault> {
    let mut open = VecDeque::new();
    let mut count = 0;
    let mut read = Vec::with_capacity(messages.len());
    for message in messages {
        no_images(message.images.as_ref())?;
        let calls = message.tool_calls.unwrap_or_default().into_iter();
        let tool_calls = calls
            .map(|call| tool_call(call, &mut count))
            .collect::<Result<Vec<_>, _>>()?;
        open.extend(tool_calls.iter().map(|call| (call.id.clone(), call.name.clone())));
        let (mut tool_call_id, mut name) = (message.tool_call_id, message.tool_name);
        if message.role == "tool" {
            let place = open.iter().position(|(id, called): &(String, String)| {
                tool_call_id.as_ref().map_or_else(
                    || name.as_ref().is_none_or(|name| name == called),
                    |wanted| wanted == id,
                )
            });
            if let Some((id, called)) = place.and_then(|place| open.remove(place)) {
                tool_call_id.get_or_insert(id);
                name.get_or_insert(called);
            }
        }
        read.push(Message {
            role: message.role,
            content: message.content.unwrap_or_default(),
            tool_calls,
            tool_call_id,
            name,
            reasoning: message.thinking.filter(|thinking| !thinking.is_empty()),
        });
    }
    Ok(read)
}

fn tool_call(call: CallIn, count: &mut u32) -> Result<ToolCall, Fault> {
    let arguments = match call.function.arguments {
        Value::Object(arguments) => Some(arguments),
        Value::Null => Some(Map::new()),
        Value::String(text) => serde_json::from_str(&text).ok(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    let arguments =
        arguments.ok_or_else(|| Fault::invalid("the arguments of a tool call must be an object"))?;
    *count += 1;
    // Nine letters and digits, which is what the strictest templates take.
    let id = call.id.filter(|id| !id.is_empty());
    Ok(ToolCall {
        id: id.unwrap_or_else(|| format!("call{count:05}")),
        name: call.function.name,
        arguments,
    })
}

fn tool(tool: ToolIn) -> Tool {
    Tool {
        name: tool.function.name,
        description: tool.function.description.unwrap_or_default(),
        parameters: tool
            .function
            .parameters
            .filter(|parameters| !parameters.is_null())
            .unwrap_or_else(|| json!({"type": "object", "properties": {}})),
    }
}

impl ChatAnswer {
    fn of(model: &str, piece: Piece, calls_before: usize) -> Self {
        let end = piece.end;
        Self {
            model: model.to_owned(),
            created_at: now(),
            message: MessageOut {
                role: "assistant",
                content: piece.text,
                thinking: piece.thinking,
                tool_calls: calls(piece.calls, calls_before),
            },
            done: end.is_some(),
            done_reason: end.as_ref().map(|end| end.reason),
            logprobs: logprobs(piece.logprobs),
            figures: end.map(|end| end.figures),
        }
    }

    fn switched(model: String, reason: &'static str) -> Self {
        Self {
            model,
            created_at: now(),
            message: MessageOut {
                role: "assistant",
                ..MessageOut::default()
            },
            done: true,
            done_reason: Some(reason),
            logprobs: Vec::new(),
            figures: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use airunner_core::ModelName;
    use airunner_core::generate::OutputFormat;

    use super::*;

    fn tiny() -> ModelName {
        ModelName::new("tiny").unwrap()
    }

    fn read(body: Value) -> Result<GenerateRequest, Fault> {
        let request = serde_json::from_value(body).map_err(|error| Fault::invalid(error.to_string()))?;
        generation(tiny(), request)
    }

    fn conversation(request: GenerateRequest) -> Conversation {
        let Input::Conversation(conversation) = request.input else {
            panic!("{:?}", request.input);
        };
        conversation
    }

    #[test]
    fn calls_and_their_answers_find_each_other() {
        let request = read(json!({"model": "tiny", "messages": [
            {"role": "user", "content": "Where and when?"},
            {"role": "assistant", "content": null, "thinking": "two calls", "tool_calls": [
                {"function": {"name": "place", "arguments": {"a": 1}}},
                {"function": {"name": "time", "arguments": "{\"b\": 2}"}},
                {"id": "mine", "function": {"name": "time", "arguments": null}},
            ]},
            {"role": "tool", "tool_name": "time", "content": "noon"},
            {"role": "tool", "content": "here"},
            {"role": "tool", "tool_call_id": "mine", "content": "late"},
            {"role": "tool", "tool_name": "other", "content": "?"},
        ]}))
        .unwrap();
        let messages = conversation(request).messages;
        assert_eq!(messages[1].reasoning.as_deref(), Some("two calls"));
        assert_eq!(messages[1].tool_calls[1].arguments["b"], 2);
        let answers: Vec<_> = messages[2..]
            .iter()
            .map(|message| (message.tool_call_id.as_deref(), message.name.as_deref()))
            .collect();
        assert_eq!(
            answers,
            [
                (Some("call00002"), Some("time")),
                (Some("call00001"), Some("place")),
                (Some("mine"), Some("time")),
                (None, Some("other")),
            ]
        );
    }

    #[test]
    fn everything_asked_for_arrives() {
        let request = read(
            json!({"model": "tiny", "messages": [{"role": "user", "content": "Hi"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": null}}],
            "think": "low", "format": "json", "keep_alive": "1m", "logprobs": true, "top_logprobs": 2,
            "options": {"num_predict": 5}, "unknown": {"x": 1}}),
        )
        .unwrap();
        assert_eq!(
            (request.max_tokens, request.top_logprobs, &request.format),
            (Some(5), Some(2), &OutputFormat::JsonObject)
        );
        assert!(request.keep_alive.is_some());
        let conversation = conversation(request);
        assert_eq!(conversation.template_variables["reasoning_effort"], "low");
        assert_eq!(conversation.tools[0].parameters["type"], "object");
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for body in [
            json!({"model": "m", "messages": [{"role": "user", "content": "", "images": ["aGk="]}]}),
            json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 5}}]}]}),
            json!({"model": "m", "messages": [{"role": "user"}], "think": "wild"}),
            json!({"model": "m", "messages": [{"role": "user"}], "format": 5}),
        ] {
            assert!(read(body).is_err());
        }
    }
}
