//! Settings: seen and changed.

use std::collections::BTreeMap;

use airunner_core::settings::{Setting, SettingChange};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::views::ErrorBody;
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::payload::Payload;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_settings, change_settings))
        .routes(routes!(reload_settings))
}

/// One setting. None of them is a secret: keys and tokens are not settings.
#[derive(Serialize, ToSchema)]
struct SettingBody {
    /// Such as `models.keep_alive`.
    name: String,
    section: String,
    key: String,
    value: Value,
    default: Value,
    /// `default`, `file`, `environment` (a variable overrides the file) or `system` (the operating
    /// system knows it).
    source: &'static str,
    /// What may be set, for a person.
    allowed: String,
    help: String,
    /// When a change counts: `at_once`, `next_load` or `restart`.
    applies: &'static str,
    /// What is missing until the daemon goes by the value: `nothing`, `reload` or `restart`.
    pending: &'static str,
}

impl From<Setting> for SettingBody {
    fn from(setting: Setting) -> Self {
        Self {
            name: setting.name(),
            value: json(&setting.value),
            default: json(&setting.default),
            section: setting.section,
            key: setting.key,
            source: setting.source.as_str(),
            allowed: setting.allowed,
            help: setting.help,
            applies: setting.applies.as_str(),
            pending: setting.pending.as_str(),
        }
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

#[derive(Serialize, ToSchema)]
struct SettingsBody {
    settings: Vec<SettingBody>,
}

impl From<Vec<Setting>> for SettingsBody {
    fn from(settings: Vec<Setting>) -> Self {
        Self {
            settings: settings.into_iter().map(SettingBody::from).collect(),
        }
    }
}

/// Every setting, by section.
#[utoipa::path(get, path = "/settings", tag = "machine", responses(
    (status = 200, body = SettingsBody),
    (status = "5XX", body = ErrorBody),
))]
async fn list_settings(State(api): State<Api>) -> Result<Json<SettingsBody>, Failure> {
    Ok(Json(api.settings.list().await?.into()))
}

/// Changes settings by their names, all of them or none, in the settings file too.
///
/// `null` takes one out of the file, so that its default counts. Answers those that were named, as
/// they are then; `pending` says whether a restart is needed.
#[utoipa::path(patch, path = "/settings", tag = "machine", request_body = BTreeMap<String, Value>, responses(
    (status = 200, body = SettingsBody),
    (status = "4XX", body = ErrorBody),
))]
async fn change_settings(
    State(api): State<Api>,
    Payload(changes): Payload<BTreeMap<String, Value>>,
) -> Result<Json<SettingsBody>, Failure> {
    let change = |(name, value): (String, Value)| SettingChange {
        name,
        value: (!value.is_null()).then(|| value.to_string()),
    };
    let changes = changes.into_iter().map(change).collect();
    Ok(Json(api.settings.change(changes).await?.into()))
}

/// Reads the settings file again and applies what is different. Answers what is.
#[utoipa::path(post, path = "/settings/reload", tag = "machine", responses(
    (status = 200, body = SettingsBody),
    (status = "5XX", body = ErrorBody),
))]
async fn reload_settings(State(api): State<Api>) -> Result<Json<SettingsBody>, Failure> {
    Ok(Json(api.settings.reload().await?.into()))
}
