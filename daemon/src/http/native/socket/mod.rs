//! WebSockets: many requests over one connection, and everything that happens.

mod chat;
mod connection;
mod frames;
mod places;
mod watch;

use airunner_core::Fault;
use airunner_core::access::Caller;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::views::ErrorBody;
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::guard::Visitor;
use crate::http::server::{Moved, Upgraded};
use crate::traces::{current, within};
use places::{Place, Places};

/// Kept for what arrives and what leaves; messages may be larger. Most connections are idle.
const BUFFER_BYTES: usize = 2 << 10;
/// A message that is larger than allowed by less than this is read to its end, so that the reason
/// arrives before the connection ends.
const TOLERATED_BYTES: usize = 1 << 20;
/// The subprotocol, which pages offer beside the one that is their key.
const PROTOCOL: &str = "airunner";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(llm_stream))
        .routes(routes!(events_socket))
        .layer(Extension(Places::default()))
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

fn accept(
    upgrade: Upgrade,
    places: &Places,
    visitor: &Visitor,
    api: &Api,
) -> Result<(WebSocketUpgrade, Place), Fault> {
    let upgrade = upgrade.map_err(|rejection| {
        Fault::invalid(format!("this path speaks WebSocket: {}", rejection.body_text()))
    })?;
    let place = places.take(visitor.holders())?;
    let largest = api.limits.borrow().body_bytes.saturating_add(TOLERATED_BYTES);
    let upgrade = upgrade
        // A browser takes no connection on which none of those it offered was chosen.
        .protocols([PROTOCOL])
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(largest)
        .max_frame_size(largest);
    Ok((upgrade, place))
}

/// A WebSocket for many conversations at once; see the guide to WebSockets.
#[utoipa::path(get, path = "/llm/stream", tag = "llm", responses(
    (status = 101, description = "the connection speaks WebSocket"),
    (status = "4XX", body = ErrorBody),
))]
async fn llm_stream(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Extension(visitor): Extension<Visitor>,
    Extension(places): Extension<Places>,
    Extension(upgraded): Extension<Upgraded>,
    Extension(moved): Extension<Moved>,
    upgrade: Upgrade,
) -> Result<Response, Failure> {
    let (upgrade, place) = accept(upgrade, &places, &visitor, &api)?;
    let (held, here) = (upgraded.hold(), current());
    Ok(upgrade.on_upgrade(move |socket| async move {
        within(here, chat::serve(socket, api, caller, visitor, &moved)).await;
        drop((place, held));
    }))
}

/// Everything that happens, as a WebSocket: the same as `/events`.
#[utoipa::path(get, path = "/events/ws", tag = "events", responses(
    (status = 101, description = "the connection speaks WebSocket"),
    (status = "4XX", body = ErrorBody),
))]
async fn events_socket(
    State(api): State<Api>,
    Extension(visitor): Extension<Visitor>,
    Extension(places): Extension<Places>,
    Extension(upgraded): Extension<Upgraded>,
    Extension(moved): Extension<Moved>,
    upgrade: Upgrade,
) -> Result<Response, Failure> {
    let (upgrade, place) = accept(upgrade, &places, &visitor, &api)?;
    let held = upgraded.hold();
    Ok(upgrade.on_upgrade(move |socket| async move {
        watch::serve(socket, &api, &visitor, &moved).await;
        drop((place, held));
    }))
}
