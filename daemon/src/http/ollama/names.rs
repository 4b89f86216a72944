//! Which model a client of Ollama means, and how it is called there.

use airunner_core::{ErrorKind, Fault, ModelName};

use serde::Deserialize;
use utoipa::ToSchema;

use super::super::api::{Api, model_name};

/// An installed model by its name, with or without a tag, or by an alias of the catalogue such
/// as `qwen2.5:0.5b`.
pub(in super::super) async fn find(api: &Api, text: &str) -> Result<ModelName, Fault> {
    let refusal = match model_name(text) {
        Ok(name) => match api.models.model(&name) {
            Ok(model) => return Ok(model.name),
            Err(fault) => fault,
        },
        Err(fault) => fault,
    };
    if refusal.kind != ErrorKind::ModelNotFound {
        return Err(refusal);
    }
    // A catalogue that cannot be read knows no aliases.
    let Ok(Some(entry)) = api.catalog.find(text).await else {
        return Err(refusal);
    };
    api.models
        .model(&entry.name)
        .map(|model| model.name)
        .map_err(|_| refusal)
}

/// A name with the tag that clients expect behind every name.
pub(super) fn tagged(name: &ModelName) -> String {
    format!("{name}:latest")
}

/// A model by its name; older clients write `name` for `model`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Named {
    model: Option<String>,
    name: Option<String>,
}

impl Named {
    pub(super) fn text(&self) -> Result<&str, Fault> {
        let told = [&self.model, &self.name].into_iter().flatten();
        told.map(String::as_str)
            .find(|text| !text.is_empty())
            .ok_or_else(|| Fault::invalid("model is missing: name a model").figure("param", "model"))
    }
}

/// How a model shall be called.
pub(super) fn new_name(text: &str) -> Result<ModelName, Fault> {
    let name = text.strip_suffix(":latest").unwrap_or(text);
    ModelName::new(name)
}
