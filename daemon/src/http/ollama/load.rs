//! Loading and unloading, which clients ask for with an empty question.

use airunner_core::model::LoadRequest;
use airunner_core::{Fault, ModelName};

use super::super::api::Api;
use super::options::Kept;
use crate::models::Turn;

/// Loads the model, or unloads it if it is not to be kept; what was done comes back.
pub(super) async fn switch(
    api: &Api,
    model: ModelName,
    kept: Option<Kept>,
    context_length: Option<u32>,
) -> Result<&'static str, Fault> {
    if Kept::is_zero(kept) {
        api.models.unload(model, false).await?;
        return Ok("unload");
    }
    let context_length = length(api, &model, context_length).await?;
    load(api, model, kept, context_length).await?;
    Ok("load")
}

/// Sees to it that a conversation may be as long as the client wants. A model that is loaded
/// with more stays as it is.
pub(super) async fn make_room(
    api: &Api,
    model: &ModelName,
    kept: Option<Kept>,
    wanted: Option<u32>,
) -> Result<(), Fault> {
    let Some(wanted) = length(api, model, wanted).await? else {
        return Ok(());
    };
    let loaded = api.models.model(model)?.instance;
    if loaded.is_some_and(|instance| instance.context_length >= wanted) {
        return Ok(());
    }
    let most = api.models.show(model).await?.context_length;
    let wanted = most.map_or(wanted, |most| wanted.min(most));
    let kept = kept.filter(|&kept| !Kept::is_zero(Some(kept)));
    load(api, model.clone(), kept, Some(wanted)).await
}

/// What the client wants, or else whoever made the model.
async fn length(api: &Api, model: &ModelName, wanted: Option<u32>) -> Result<Option<u32>, Fault> {
    Ok(match wanted {
        Some(wanted) => Some(wanted),
        None => api.models.find(model).await?.defaults.context_length,
    })
}

async fn load(
    api: &Api,
    model: ModelName,
    kept: Option<Kept>,
    context_length: Option<u32>,
) -> Result<(), Fault> {
    let request = LoadRequest {
        keep_alive: kept.map(|kept| kept.0),
        context_length,
        ..LoadRequest::new(model)
    };
    let mut acquisition = api.models.load(request).await?;
    loop {
        match acquisition.turn().await? {
            Turn::Granted(lease) => {
                drop(lease);
                return Ok(());
            }
            Turn::Queued(_) | Turn::Loading(_) => {}
        }
    }
}
