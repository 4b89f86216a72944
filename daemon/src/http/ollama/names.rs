//! Which model a client of Ollama means, and how it is called there.

use airunner_core::{ErrorKind, Fault, ModelName};

use serde::Deserialize;
use utoipa::ToSchema;

use super::super::api::{Api, model_name};

/// An installed model by its name, with or without a tag, or by an alias of the catalogue such
/// as `qwen2.5:0.5b`.
pub(in super::super) async fn find(api: &Api, text: &str) -> Result<ModelName, Fault> {
    let refusal = match untagged(text).map_or_else(|| model_name(text), Ok) {
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

/// Begins the last part of a name that stands for a tag: `mario:v2` is kept as `mario/tag.v2`,
/// for no name of a model has a colon.
const TAG: &str = "/tag.";
const USUAL: &str = "latest";

/// A name with the tag that clients expect behind every name.
pub(super) fn tagged(name: &ModelName) -> String {
    match name.as_str().rsplit_once(TAG) {
        Some((name, tag)) if is_tag(tag) => format!("{name}:{tag}"),
        Some(_) | None => format!("{name}:{USUAL}"),
    }
}

/// The name that a text with a tag stands for.
fn untagged(text: &str) -> Option<ModelName> {
    let (name, tag) = text.rsplit_once(':').filter(|(_, tag)| is_tag(tag))?;
    ModelName::new(&format!("{name}{TAG}{tag}")).ok()
}

/// Whether it is told in a name: the usual one is not.
fn is_tag(tag: &str) -> bool {
    !tag.is_empty() && tag != USUAL && !tag.contains('/')
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
    untagged(name).map_or_else(|| ModelName::new(name), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_kept_in_the_name_and_told_again() {
        for (text, kept, told) in [
            ("mario", "mario", "mario:latest"),
            ("mario:latest", "mario", "mario:latest"),
            ("mario:v2", "mario/tag.v2", "mario:v2"),
            ("me/mario:7b-q4_K", "me/mario/tag.7b-q4_K", "me/mario:7b-q4_K"),
            ("mario/tag.v2", "mario/tag.v2", "mario:v2"),
            ("a/tag.latest", "a/tag.latest", "a/tag.latest:latest"),
        ] {
            let name = new_name(text).unwrap();
            assert_eq!((name.as_str(), tagged(&name).as_str()), (kept, told));
            assert_eq!(new_name(&tagged(&name)).unwrap(), name);
        }
        for bad in [
            "mario:",
            ":v2",
            "host:5000/mario",
            "mario:v2:v3",
            "mario:a b",
            "mario:v2.",
        ] {
            assert!(new_name(bad).is_err(), "{bad}");
        }
    }
}
