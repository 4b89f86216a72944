//! What there is: `GET /api/tags`, `/api/ps`, `/api/version` and `/`.

use airunner_core::Fault;
use airunner_core::lifecycle::StateName;
use airunner_core::model::{Model, ModelDetails};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::api::Api;
use super::dates::{NEVER, text};
use super::names::tagged;

/// Of Ollama's API, which clients compare with the one they need.
const SPOKEN: &str = "0.20.0";

#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    /// The version of Ollama whose API this is like.
    version: &'static str,
    /// The version of this program.
    airunner: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Tags {
    models: Vec<Tag>,
}

/// An installed model.
#[derive(Serialize, ToSchema)]
pub(super) struct Tag {
    name: String,
    model: String,
    modified_at: String,
    /// Bytes on disk.
    size: u64,
    /// SHA-256 over names and contents of its files.
    digest: String,
    details: Details,
}

/// What kind of model it is.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Details {
    parent_model: String,
    /// `onnx`.
    format: &'static str,
    family: String,
    families: Vec<String>,
    /// Such as `134.5M`.
    parameter_size: String,
    quantization_level: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Processes {
    models: Vec<Process>,
}

/// A model in memory.
#[derive(Serialize, ToSchema)]
pub(super) struct Process {
    name: String,
    model: String,
    /// Bytes in memory.
    size: u64,
    /// Bytes of them on a GPU.
    size_vram: u64,
    digest: String,
    details: Details,
    /// When it is unloaded if nobody asks for it; far in the future: never.
    expires_at: String,
    /// Tokens of a conversation.
    context_length: u32,
}

/// Says that somebody is there.
#[utoipa::path(get, path = "/", tag = "ollama", responses((status = 200, body = String)))]
pub(super) async fn root(headers: HeaderMap) -> &'static str {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        "AI Runner is running: see /docs"
    } else {
        // Some clients look for exactly this.
        "Ollama is running"
    }
}

/// Which version of Ollama's API this is like.
#[utoipa::path(get, path = "/api/version", tag = "ollama", responses((status = 200, body = Version)))]
pub(super) async fn version() -> Json<Version> {
    Json(Version {
        version: SPOKEN,
        airunner: env!("CARGO_PKG_VERSION"),
    })
}

/// All installed models.
#[utoipa::path(get, path = "/api/tags", tag = "ollama", responses((status = 200, body = Tags)))]
pub(super) async fn tags(State(api): State<Api>) -> Json<Tags> {
    let mut models = Vec::new();
    for model in api.models.list() {
        let size = model.size_bytes;
        match describe(&api, &model).await {
            Ok((digest, modified_at, details)) => models.push(Tag {
                name: tagged(&model.name),
                model: tagged(&model.name),
                modified_at,
                size,
                digest,
                details,
            }),
            Err(fault) => tracing::warn!(model = %model.name, %fault, "a model is left out of the list"),
        }
    }
    Json(Tags { models })
}

/// The models in memory.
#[utoipa::path(get, path = "/api/ps", tag = "ollama", responses((status = 200, body = Processes)))]
pub(super) async fn processes(State(api): State<Api>) -> Json<Processes> {
    let mut models = Vec::new();
    for model in api.models.list() {
        let Some(instance) = &model.instance else {
            continue;
        };
        if !matches!(model.state, StateName::Loaded | StateName::Busy) {
            continue;
        }
        let (digest, _, details) = match describe(&api, &model).await {
            Ok(described) => described,
            Err(fault) => {
                tracing::warn!(model = %model.name, %fault, "a model is left out of the list");
                continue;
            }
        };
        let on_gpu = !instance.device.starts_with("cpu");
        let reserved = if on_gpu { instance.estimated_bytes } else { 0 };
        models.push(Process {
            name: tagged(&model.name),
            model: tagged(&model.name),
            size: instance.memory_bytes.max(reserved),
            size_vram: reserved,
            digest,
            details,
            expires_at: instance.expires_at.map_or_else(|| NEVER.to_owned(), text),
            context_length: instance.context_length,
        });
    }
    Json(Processes { models })
}

/// Digest, date and kind.
async fn describe(api: &Api, model: &Model) -> Result<(String, String, Details), Fault> {
    let card = api.models.card(&model.name).await?;
    let details = api.models.show(&model.name).await?;
    Ok((card.digest, text(card.installed_at), Details::of(&details)))
}

impl Details {
    pub(super) fn of(details: &ModelDetails) -> Self {
        let family = details.architecture.clone();
        let level = details
            .model
            .instance
            .as_ref()
            .and_then(|instance| instance.level);
        Self {
            parent_model: String::new(),
            format: "onnx",
            families: vec![family.clone()],
            family,
            parameter_size: details.parameters.map_or_else(String::new, size),
            quantization_level: level.map_or_else(
                || {
                    details
                        .variants
                        .first()
                        .map_or("unknown", |file| level_of(file))
                        .to_owned()
                },
                |level| level.as_str().to_owned(),
            ),
        }
    }
}

/// The precision that the name of a graph file tells.
fn level_of(file: &str) -> &'static str {
    const LEVELS: [&str; 7] = ["q4f16", "bnb4", "q4", "int8", "uint8", "quantized", "fp16"];
    LEVELS
        .into_iter()
        .find(|level| file.contains(level))
        .unwrap_or("unknown")
}

/// As people write how many parameters there are.
fn size(parameters: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let count = parameters as f64;
    let units = [(1e9, "B"), (1e6, "M"), (1e3, "K")];
    let unit = units.into_iter().find(|(factor, _)| count >= *factor);
    unit.map_or_else(
        || parameters.to_string(),
        |(factor, unit)| format!("{:.1}{unit}", count / factor),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (count, text) in [
            (7, "7"),
            (1_500, "1.5K"),
            (134_515_008, "134.5M"),
            (1_235_814_400, "1.2B"),
        ] {
            assert_eq!(size(count), text);
        }
        assert_eq!(level_of("onnx/model_q4f16.onnx"), "q4f16");
        assert_eq!(level_of("model.onnx"), "unknown");
    }
}
