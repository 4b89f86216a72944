//! What the user of this machine is told.

use airunner_core::notification::NotificationId;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::views::{ErrorBody, NotificationBody};
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::payload::{Params, Place};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_notifications))
        .routes(routes!(dismiss_notification))
        .routes(routes!(press_button))
}

#[derive(serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Also those that want no answer any more.
    #[serde(default)]
    all: bool,
}

#[derive(Serialize, ToSchema)]
struct NotificationsBody {
    notifications: Vec<NotificationBody>,
}

#[derive(Serialize, ToSchema)]
struct PressedBody {
    /// False if it had been answered before: nothing happened this time.
    accepted: bool,
    notification: NotificationBody,
}

/// The notifications that want an answer, the newest first.
#[utoipa::path(get, path = "/notifications", tag = "notifications", params(Which), responses(
    (status = 200, body = NotificationsBody),
    (status = "4XX", body = ErrorBody),
))]
async fn list_notifications(
    State(api): State<Api>,
    Params(which): Params<Which>,
) -> Result<Json<NotificationsBody>, Failure> {
    let listed = api.notifications.list(which.all).await?;
    Ok(Json(NotificationsBody {
        notifications: listed.into_iter().map(NotificationBody::from).collect(),
    }))
}

/// Presses a button. What it asks for is begun, and done once however often it is pressed.
#[utoipa::path(post, path = "/notifications/{id}/actions/{action}", tag = "notifications",
    params(("id" = u64, Path), ("action" = String, Path, description = "Key of the button.")), responses(
    (status = 200, body = PressedBody),
    (status = "4XX", body = ErrorBody),
))]
async fn press_button(
    State(api): State<Api>,
    Place((id, action)): Place<(u64, String)>,
) -> Result<Json<PressedBody>, Failure> {
    let result = api.notifications.act(NotificationId(id), action).await?;
    Ok(Json(PressedBody {
        accepted: result.accepted,
        notification: result.notification.into(),
    }))
}

/// Takes a notification away unanswered.
#[utoipa::path(delete, path = "/notifications/{id}", tag = "notifications", params(("id" = u64, Path)), responses(
    (status = 200, body = NotificationBody),
    (status = "4XX", body = ErrorBody),
))]
async fn dismiss_notification(
    State(api): State<Api>,
    Place(id): Place<u64>,
) -> Result<Json<NotificationBody>, Failure> {
    Ok(Json(api.notifications.dismiss(NotificationId(id)).await?.into()))
}
