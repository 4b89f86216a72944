//! What happens, as it happens: a snapshot, then every change in order.

use airunner_core::event::WatchMessage;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::{StreamExt as _, stream};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::views::SequencedBody;
use crate::events::Watch;
use crate::http::api::Api;
use crate::http::server::Moved;
use crate::http::stream::{events, named, silent_ping};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(watch))
}

/// Everything that happens to models, memory and downloads, as server-sent events.
///
/// First `snapshot`, then `model_changed`, `model_removed`, `memory_changed`, `download_changed`,
/// `notification_changed` and `shutting_down` with numbers that count up by one. A client that falls behind gets a fresh
/// snapshot. The same comes as a WebSocket at `/events/ws`.
#[utoipa::path(get, path = "/events", tag = "events", responses(
    (status = 200, body = SequencedBody, content_type = "text/event-stream"),
))]
async fn watch(State(api): State<Api>, Extension(moved): Extension<Moved>) -> Response {
    let told = stream::unfold(api.models.watch(), |mut watch: Watch| async move {
        let message = watch.next().await?;
        Some((event(message), watch))
    });
    // It has no end of its own, and would keep an address that is served no more.
    events(told.take_until(moved.told()), silent_ping())
}

fn event(message: WatchMessage) -> Event {
    let body = SequencedBody::from(message);
    named(body.event.name(), &body).id(body.sequence.to_string())
}
