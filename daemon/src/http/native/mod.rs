//! Our own language: `/api/v1`, and what every probe asks.

mod chat;
mod conversations;
mod downloads;
mod events;
mod health;
mod jobs;
mod llm;
mod machine;
mod models;
mod notifications;
mod pause;
mod settings;
mod socket;
mod views;

use utoipa::openapi::{OpenApi, PathItem, Paths};
use utoipa_axum::router::OpenApiRouter;

use super::api::Api;

const PREFIX: &str = "/api/v1";

pub(super) fn router() -> OpenApiRouter<Api> {
    let mut probes = health::router();
    rename(probes.get_openapi_mut());
    let mut own = OpenApiRouter::new()
        .merge(probes)
        .merge(chat::router())
        .merge(llm::router())
        .merge(conversations::router())
        .merge(socket::router())
        .merge(models::router())
        .merge(downloads::router())
        .merge(machine::router())
        .merge(pause::router())
        .merge(settings::router())
        .merge(events::router())
        .merge(jobs::router())
        .merge(notifications::router());
    describe(own.get_openapi_mut());
    OpenApiRouter::new().merge(health::router()).nest(PREFIX, own)
}

/// The probes are there twice, and names of operations are not.
fn rename(api: &mut OpenApi) {
    for item in api.paths.paths.values_mut() {
        for operation in operations(item) {
            if let Some(id) = &mut operation.operation_id {
                id.insert_str(0, "v1_");
            }
        }
    }
}

/// A name that takes the rest of the path is an ordinary parameter to whoever reads the
/// description.
fn describe(api: &mut OpenApi) {
    let paths = std::mem::replace(&mut api.paths, Paths::new());
    for (path, item) in paths.paths {
        api.paths.paths.insert(path.replace("{*", "{"), item);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .flatten()
}
