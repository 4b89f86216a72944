//! Models.

use airunner_core::model::{Instance, Model, ModelDetails};
use serde::Serialize;
use utoipa::ToSchema;

use super::moment;

/// An installed model and what it is doing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct ModelBody {
    pub(in crate::http::native) name: String,
    /// `llm`.
    kind: &'static str,
    /// `UNLOADED`, `LOADING`, `LOADED`, `BUSY` or `UNLOADING`.
    state: &'static str,
    /// It can answer at once.
    loaded: bool,
    /// On disk.
    size_bytes: u64,
    /// `builtin`, `import`, `linked`, or `hub:OWNER/NAME@COMMIT`.
    source: String,
    /// While it is in memory or on its way there.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<InstanceBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_unload_reason: Option<String>,
    waiting_requests: u32,
}

/// A model in memory.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct InstanceBody {
    pid: u32,
    device: String,
    memory_bytes: u64,
    /// Set aside for it.
    estimated_bytes: u64,
    context_length: u32,
    active_requests: u32,
    waiting_requests: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    loading: Option<LoadingBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// The graph file that runs.
    variant: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    pinned: bool,
    loaded_for: String,
    prepacked: bool,
    /// Threads it computes with: fewer while other models compute too.
    threads: u32,
    /// How keys and values are kept: `f32`, `f16`, `bf16` or `q8`.
    #[serde(skip_serializing_if = "String::is_empty")]
    cache_type: String,
}

/// How far a load is.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct LoadingBody {
    stage: &'static str,
    /// 0 to 1.
    progress: f32,
}

/// What a package is made of.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct DetailsBody {
    #[serde(flatten)]
    model: ModelBody,
    format: &'static str,
    architecture: String,
    /// Longest context the package declares, tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    context_length: Option<u32>,
    /// `completion`, `chat`, `tools`, `thinking`, `embedding`.
    capabilities: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<u64>,
    /// Graph files that could run, best first.
    variants: Vec<String>,
    files: Vec<FileBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_template: Option<String>,
}

/// A file of a package.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct FileBody {
    path: String,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl From<Model> for ModelBody {
    fn from(model: Model) -> Self {
        use airunner_core::lifecycle::StateName;
        use airunner_core::model::Source;
        Self {
            loaded: matches!(model.state, StateName::Loaded | StateName::Busy),
            name: model.name.to_string(),
            kind: model.kind.as_str(),
            state: model.state.as_str(),
            size_bytes: model.size_bytes,
            source: match model.source {
                // Directories of this machine are nobody else's business.
                Source::Import(_) => "import".to_owned(),
                Source::Linked(_) => "linked".to_owned(),
                source @ (Source::Builtin | Source::Hub(_)) => source.to_string(),
            },
            instance: model.instance.map(InstanceBody::from),
            last_unload_reason: model.last_unload_reason.map(|reason| reason.to_string()),
            waiting_requests: model.waiting_requests,
        }
    }
}

impl From<Instance> for InstanceBody {
    fn from(instance: Instance) -> Self {
        Self {
            pid: instance.pid,
            device: instance.device,
            memory_bytes: instance.memory_bytes,
            estimated_bytes: instance.estimated_bytes,
            context_length: instance.context_length,
            active_requests: instance.active_requests,
            waiting_requests: instance.waiting_requests,
            loading: instance.progress.map(|progress| LoadingBody {
                stage: progress.stage.as_str(),
                progress: progress.fraction,
            }),
            expires_at: instance.expires_at.map(moment),
            variant: instance.variant,
            level: instance.level.map(airunner_core::memory::Quantization::as_str),
            pinned: instance.pinned,
            loaded_for: instance.loaded_for,
            prepacked: instance.prepacked,
            threads: instance.threads,
            cache_type: instance.cache_type,
        }
    }
}

impl From<ModelDetails> for DetailsBody {
    fn from(details: ModelDetails) -> Self {
        let capabilities = details.capabilities.into_iter();
        Self {
            model: details.model.into(),
            format: details.format.as_str(),
            architecture: details.architecture,
            context_length: details.context_length,
            capabilities: capabilities
                .map(airunner_core::model::Capability::as_str)
                .collect(),
            parameters: details.parameters,
            variants: details.variants,
            files: details
                .files
                .into_iter()
                .map(|file| FileBody {
                    path: file.path,
                    size_bytes: file.size_bytes,
                    sha256: file.sha256,
                })
                .collect(),
            chat_template: details.chat_template,
        }
    }
}
