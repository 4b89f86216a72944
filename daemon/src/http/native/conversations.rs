//! Stored conversations.

use airunner_core::access::Caller;
use airunner_core::chat::Message;
use airunner_core::conversation::{
    ConversationId, ConversationSummary, NewConversation, Page, StoredMessage,
};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::chat::{self, ChatRequest, MessageBody};
use super::views::{ErrorBody, moment};
use crate::http::api::{Api, model_name};
use crate::http::failure::Failure;
use crate::http::payload::{Params, Payload, Place};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_conversations, create_conversation))
        .routes(routes!(
            get_conversation,
            rename_conversation,
            delete_conversation
        ))
        .routes(routes!(continue_conversation))
}

/// A new conversation; everything may be left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// Without it, it is called as its first message of the user begins.
    #[serde(default)]
    title: String,
    /// Who answers in it.
    model: Option<String>,
    /// How it begins, such as with a `system` message.
    #[serde(default)]
    messages: Vec<MessageBody>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rename {
    title: String,
}

/// A conversation without its messages.
#[derive(Serialize, ToSchema)]
struct SummaryBody {
    id: String,
    title: String,
    /// Who answers in it, if that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    message_count: u64,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize, ToSchema)]
struct ConversationBody {
    #[serde(flatten)]
    summary: SummaryBody,
    messages: Vec<StoredBody>,
}

#[derive(Serialize, ToSchema)]
struct StoredBody {
    #[serde(flatten)]
    message: MessageBody,
    /// Who answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    created_at: String,
}

#[derive(Serialize, ToSchema)]
struct Conversations {
    conversations: Vec<SummaryBody>,
    /// How many there are altogether.
    total: u64,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// Looked for in titles and messages.
    search: Option<String>,
    /// How many, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// How many to leave out first.
    offset: Option<u32>,
}

impl From<ConversationSummary> for SummaryBody {
    fn from(summary: ConversationSummary) -> Self {
        Self {
            id: summary.id.0,
            title: summary.title,
            model: Some(summary.model).filter(|model| !model.is_empty()),
            message_count: summary.messages,
            created_at: moment(summary.created_at),
            updated_at: moment(summary.updated_at),
        }
    }
}

impl From<StoredMessage> for StoredBody {
    fn from(stored: StoredMessage) -> Self {
        Self {
            message: stored.message.into(),
            model: stored.model,
            created_at: moment(stored.created_at),
        }
    }
}

/// Begins a conversation that is kept.
#[utoipa::path(post, path = "/llm/conversations", tag = "conversations", request_body = Create, responses(
    (status = 201, body = SummaryBody),
    (status = "4XX", body = ErrorBody),
))]
async fn create_conversation(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(create): Payload<Create>,
) -> Result<(StatusCode, Json<SummaryBody>), Failure> {
    let model = create.model.as_deref().map(model_name).transpose()?;
    if let Some(model) = &model {
        api.models.model(model)?;
    }
    let messages = create.messages.into_iter().map(Message::try_from);
    let new = NewConversation {
        title: create.title,
        model: model.map(|model| model.to_string()).unwrap_or_default(),
        messages: messages.collect::<Result<_, _>>()?,
    };
    let summary = api.conversations.create(&caller, new).await?;
    Ok((StatusCode::CREATED, Json(summary.into())))
}

/// The conversations, the one changed last first.
#[utoipa::path(get, path = "/llm/conversations", tag = "conversations", params(Search), responses(
    (status = 200, body = Conversations),
    (status = "4XX", body = ErrorBody),
))]
async fn list_conversations(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<Search>,
) -> Result<Json<Conversations>, Failure> {
    let page = Page::new(query.limit, query.offset)?;
    let search = query.search.unwrap_or_default();
    let listing = api.conversations.list(&caller, search, page).await?;
    Ok(Json(Conversations {
        conversations: listing.items.into_iter().map(SummaryBody::from).collect(),
        total: listing.total,
    }))
}

/// A conversation with its messages.
#[utoipa::path(get, path = "/llm/conversations/{id}", tag = "conversations", params(("id" = String, Path)),
responses(
    (status = 200, body = ConversationBody),
    (status = "4XX", body = ErrorBody),
))]
async fn get_conversation(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<Json<ConversationBody>, Failure> {
    let (summary, messages) = api.conversations.get(&caller, ConversationId(id)).await?;
    Ok(Json(ConversationBody {
        summary: summary.into(),
        messages: messages.into_iter().map(StoredBody::from).collect(),
    }))
}

/// Gives a conversation another title.
#[utoipa::path(patch, path = "/llm/conversations/{id}", tag = "conversations", params(("id" = String, Path)),
request_body = Rename, responses(
    (status = 200, body = SummaryBody),
    (status = "4XX", body = ErrorBody),
))]
async fn rename_conversation(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
    Payload(rename): Payload<Rename>,
) -> Result<Json<SummaryBody>, Failure> {
    let summary = api
        .conversations
        .rename(&caller, ConversationId(id), rename.title)
        .await?;
    Ok(Json(summary.into()))
}

/// Deletes a conversation for good.
#[utoipa::path(delete, path = "/llm/conversations/{id}", tag = "conversations", params(("id" = String, Path)),
responses(
    (status = 204),
    (status = "4XX", body = ErrorBody),
))]
async fn delete_conversation(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<StatusCode, Failure> {
    api.conversations.delete(&caller, ConversationId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says something in a conversation, and answers, at once or piece by piece.
///
/// What is said and the answer are stored when the answer is complete.
#[utoipa::path(post, path = "/llm/conversations/{id}/messages", tag = "conversations",
params(("id" = String, Path)), request_body = ChatRequest, responses(
    (status = 200, description = "as of /llm/chat"),
    (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody),
))]
async fn continue_conversation(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
    Payload(mut request): Payload<ChatRequest>,
) -> Result<Response, Failure> {
    request.conversation_id = Some(id);
    let streams = request.stream;
    let asked = chat::ask(&api, &caller, request).await?;
    chat::answered(asked, streams).await
}
