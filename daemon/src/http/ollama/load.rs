//! Loading and unloading, which clients ask for with an empty question.
//!
//! Owns what callers may do here who can ask but not manage models: they let a model be loaded as
//! any question does, and never take away or change one that is loaded, which others may use.

use airunner_core::access::{Caller, Scope};
use airunner_core::model::LoadRequest;
use airunner_core::{ErrorKind, Fault, ModelName};

use super::super::api::Api;
use super::options::Kept;
use crate::models::Turn;

/// Loads the model, or unloads it if it is not to be kept; what was done comes back.
pub(super) async fn switch(
    api: &Api,
    caller: &Caller,
    model: ModelName,
    kept: Option<Kept>,
    context_length: Option<u32>,
) -> Result<&'static str, Fault> {
    if Kept::is_zero(kept) {
        may_unload(caller)?;
        api.models.unload(model, false).await?;
        return Ok("unload");
    }
    let kept = kept.filter(|_| caller.may(Scope::Models));
    let context_length = lacking(api, caller, &model, context_length).await?;
    load(api, model, kept, context_length).await?;
    Ok("load")
}

/// Sees to it that a conversation may be as long as the client wants. A model that is loaded
/// with more stays as it is, and so does any if the caller may not manage models.
pub(super) async fn make_room(
    api: &Api,
    caller: &Caller,
    model: &ModelName,
    kept: Option<Kept>,
    wanted: Option<u32>,
) -> Result<(), Fault> {
    let Some(wanted) = lacking(api, caller, model, wanted).await? else {
        return Ok(());
    };
    let kept = kept.filter(|&kept| !Kept::is_zero(Some(kept)));
    load(api, model.clone(), kept, Some(wanted)).await
}

/// The length to load the model with; `None` if it may be anything, or is loaded well enough.
async fn lacking(
    api: &Api,
    caller: &Caller,
    model: &ModelName,
    wanted: Option<u32>,
) -> Result<Option<u32>, Fault> {
    let Some(wanted) = length(api, model, wanted).await? else {
        return Ok(None);
    };
    let most = api.models.show(model).await?.context_length;
    let wanted = possible(wanted, most);
    let loaded = api.models.model(model)?.instance;
    let stays = loaded.is_some_and(|instance| stays(caller, instance.context_length, wanted));
    Ok((!stays).then_some(wanted))
}

/// As much of what is wanted as the model can.
fn possible(wanted: u32, most: Option<u32>) -> u32 {
    most.map_or(wanted, |most| wanted.min(most))
}

fn may_unload(caller: &Caller) -> Result<(), Fault> {
    if caller.may(Scope::Models) {
        return Ok(());
    }
    Err(Fault::new(
        ErrorKind::PermissionDenied,
        format!(
            "this key is not good for unloading models: it lacks the scope {}",
            Scope::Models
        ),
    ))
}

/// Whether a model that is loaded with `has` tokens is good enough for who wants `wanted`.
fn stays(caller: &Caller, has: u32, wanted: u32) -> bool {
    has >= wanted || !caller.may(Scope::Models)
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

#[cfg(test)]
mod tests {
    use airunner_core::access::KeyId;

    use super::*;

    fn caller(scope: Scope) -> Caller {
        Caller {
            key: Some(KeyId(1)),
            name: "phone".to_owned(),
            scopes: vec![scope],
        }
    }

    #[test]
    fn who_may_only_ask_neither_unloads_nor_reloads() {
        let asks = caller(Scope::Inference);
        assert_eq!(may_unload(&asks).unwrap_err().kind, ErrorKind::PermissionDenied);
        assert!(stays(&asks, 512, 4096));
    }

    #[test]
    fn nobody_gets_more_than_the_model_can() {
        for (wanted, most, given) in [
            (4096, Some(2048), 2048),
            (512, Some(2048), 512),
            (4096, None, 4096),
        ] {
            assert_eq!(possible(wanted, most), given);
        }
        assert!(stays(&Caller::local(), 2048, possible(4096, Some(2048))));
    }

    #[test]
    fn who_manages_models_does_both() {
        for caller in [caller(Scope::Models), caller(Scope::Admin), Caller::local()] {
            assert!(may_unload(&caller).is_ok());
            assert!(!stays(&caller, 512, 4096));
            assert!(stays(&caller, 4096, 512));
        }
    }
}
