//! Texts as tokens, and back. The forms are those of vLLM and of llama.cpp's server.

use airunner_core::chat::Conversation;
use airunner_core::generate::{MAX_PROMPT_BYTES, MAX_PROMPT_TOKENS};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeInput, TokenizeRequest};
use airunner_core::{Fault, ModelName};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::chat::messages::{ChatMessage, conversation};
use super::refusal::wrong;
use crate::http::api::{Api, model_name};
use crate::http::failure::Failure;
use crate::http::payload::Payload;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(tokenize))
        .routes(routes!(detokenize))
}

/// A text, or a conversation, which goes through the chat template first: exactly one of
/// `prompt`, `content` and `messages`.
#[derive(Debug, Deserialize, ToSchema)]
struct TokensRequest {
    /// Name of an installed model.
    model: String,
    prompt: Option<String>,
    /// The same as `prompt`, but without special tokens unless asked for.
    content: Option<String>,
    messages: Option<Vec<ChatMessage>>,
    /// Add what the tokenizer adds by itself, such as a token for the beginning.
    #[serde(alias = "add_special")]
    add_special_tokens: Option<bool>,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
struct TokensAnswer {
    tokens: Vec<u32>,
    count: usize,
    /// Tokens that fit into one conversation.
    max_model_len: u32,
}

#[derive(Debug, Deserialize, ToSchema)]
struct TextRequest {
    /// Name of an installed model.
    model: String,
    tokens: Vec<u32>,
    /// Leave out tokens that are not text.
    skip_special_tokens: Option<bool>,
}

/// The text, under the names of both servers.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
struct TextAnswer {
    prompt: String,
    content: String,
}

/// Turn a text into tokens.
#[utoipa::path(post, path = "/v1/tokenize", tag = "openai", request_body = TokensRequest,
    responses((status = 200, body = TokensAnswer)))]
async fn tokenize(
    State(api): State<Api>,
    Payload(request): Payload<TokensRequest>,
) -> Result<Json<TokensAnswer>, Failure> {
    let model = installed(&api, &request.model)?;
    let request = TokenizeRequest {
        model: model.clone(),
        input: request.input()?,
    };
    let tokens = api.inference.tokenize(request).await?;
    let instance = api.models.model(&model)?.instance;
    Ok(Json(TokensAnswer {
        count: tokens.len(),
        tokens,
        max_model_len: instance.map_or(0, |instance| instance.context_length),
    }))
}

/// Turn tokens into a text.
#[utoipa::path(post, path = "/v1/detokenize", tag = "openai", request_body = TextRequest,
    responses((status = 200, body = TextAnswer)))]
async fn detokenize(
    State(api): State<Api>,
    Payload(request): Payload<TextRequest>,
) -> Result<Json<TextAnswer>, Failure> {
    if request.tokens.len() > MAX_PROMPT_TOKENS {
        return Err(wrong(
            "tokens",
            format!("at most {MAX_PROMPT_TOKENS} tokens are allowed"),
        )
        .into());
    }
    let request = DetokenizeRequest {
        model: installed(&api, &request.model)?,
        tokens: request.tokens,
        skip_special_tokens: request.skip_special_tokens.unwrap_or(false),
    };
    let text = api.inference.detokenize(request).await?;
    Ok(Json(TextAnswer {
        prompt: text.clone(),
        content: text,
    }))
}

fn installed(api: &Api, name: &str) -> Result<ModelName, Fault> {
    let found = model_name(name).and_then(|name| api.models.model(&name));
    Ok(found.map_err(|fault| fault.figure("param", "model"))?.name)
}

impl TokensRequest {
    fn input(self) -> Result<TokenizeInput, Fault> {
        let (text, usually) = match (self.prompt, self.content, self.messages) {
            (Some(prompt), None, None) => (prompt, true),
            (None, Some(content), None) => (content, false),
            (None, None, Some(messages)) => return turns(messages),
            (None, None, None) => return Err(wrong("prompt", "prompt is missing: send a text or messages")),
            _ => {
                return Err(wrong(
                    "prompt",
                    "only one of prompt, content and messages can be tokenized at a time",
                ));
            }
        };
        if text.len() > MAX_PROMPT_BYTES {
            return Err(wrong(
                "prompt",
                format!("the text is too long: at most {MAX_PROMPT_BYTES} bytes are allowed"),
            ));
        }
        Ok(TokenizeInput::Text {
            text,
            add_special_tokens: self.add_special_tokens.unwrap_or(usually),
        })
    }
}

fn turns(messages: Vec<ChatMessage>) -> Result<TokenizeInput, Fault> {
    let conversation: Conversation = conversation(messages, false)?;
    airunner_core::generate::Input::Conversation(conversation.clone()).validate()?;
    Ok(TokenizeInput::Conversation(conversation))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::payload::decode;

    fn input(fields: Value) -> Result<TokenizeInput, Fault> {
        decode::<TokensRequest>(fields.to_string().as_bytes())?.input()
    }

    #[test]
    fn both_forms_are_read() {
        let text = |text: &str, add_special_tokens| TokenizeInput::Text {
            text: text.to_owned(),
            add_special_tokens,
        };
        for (fields, expected) in [
            (json!({"model": "m", "prompt": "a"}), text("a", true)),
            (json!({"model": "m", "content": "a"}), text("a", false)),
            (
                json!({"model": "m", "content": "a", "add_special": true}),
                text("a", true),
            ),
            (
                json!({"model": "m", "prompt": "", "add_special_tokens": false}),
                text("", false),
            ),
        ] {
            assert_eq!(input(fields).unwrap(), expected);
        }
        let chat = input(json!({"model": "m", "messages": [{"role": "user", "content": "a"}]})).unwrap();
        assert!(matches!(chat, TokenizeInput::Conversation(_)));
        for bad in [
            json!({"model": "m"}),
            json!({"model": "m", "prompt": "a", "content": "b"}),
            json!({"model": "m", "prompt": 7}),
            json!({"model": "m", "messages": []}),
        ] {
            assert!(input(bad).is_err());
        }
    }
}
