//! What clients see of a model.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::generate::Sampling;
use crate::keep_alive::KeepAlive;
use crate::lifecycle::{StateName, UnloadReason};
use crate::memory::Quantization;
use crate::name::ModelName;
use crate::priority::Priority;

/// What a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelKind {
    /// Text in, text out.
    Llm,
}

impl ModelKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Llm].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an installed model came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Ships with the program.
    Builtin,
    /// Copied from a directory of this name.
    Import(String),
    /// The files stay where they are, in this directory.
    Linked(String),
    /// Fetched from a hub: `owner/name@commit`.
    Hub(String),
}

impl Source {
    /// The source whose text form this is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("import", directory)) => Some(Self::Import(directory.to_owned())),
            Some(("linked", directory)) => Some(Self::Linked(directory.to_owned())),
            Some(("hub", repository)) => Some(Self::Hub(repository.to_owned())),
            Some(_) => None,
            None => (text == "builtin").then_some(Self::Builtin),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("builtin"),
            Self::Import(directory) => write!(f, "import:{directory}"),
            Self::Linked(directory) => write!(f, "linked:{directory}"),
            Self::Hub(repository) => write!(f, "hub:{repository}"),
        }
    }
}

/// One installed model and what it is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub name: ModelName,
    pub kind: ModelKind,
    pub state: StateName,
    /// Bytes on disk.
    pub size_bytes: u64,
    pub source: Source,
    /// Set while a worker lives.
    pub instance: Option<Instance>,
    pub last_unload_reason: Option<UnloadReason>,
    /// Requests that wait for it, loaded or not.
    pub waiting_requests: u32,
}

/// The worker process of a loaded or loading model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instance {
    /// 0 until the process runs.
    pub pid: u32,
    /// `cpu` or `cuda:0`; empty until loaded.
    pub device: String,
    /// Resident memory of the worker, bytes.
    pub memory_bytes: u64,
    /// Tokens that fit into one conversation; 0 until loaded.
    pub context_length: u32,
    pub active_requests: u32,
    pub waiting_requests: u32,
    /// While loading.
    pub progress: Option<LoadProgress>,
    /// When it will be unloaded if nobody asks for it.
    pub expires_at: Option<SystemTime>,
    /// Which file of the package runs.
    pub variant: String,
    /// Memory set aside for it, bytes: what it took last time, or else an estimate.
    pub estimated_bytes: u64,
    /// Never unloaded to make room for others.
    pub pinned: bool,
    /// Why it was loaded: `request`, `requested` or `preload`.
    pub loaded_for: String,
    /// Precision of its weights, if known.
    pub level: Option<Quantization>,
    /// Loaded from a copy with weights already packed for this machine.
    pub prepacked: bool,
    /// Threads it computes with: fewer while other models compute too; 0 until it has said so.
    pub threads: u32,
    /// How keys and values are kept, such as `f16`; empty until loaded, and where there is no cache.
    pub cache_type: String,
}

/// Waiting for a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Requests before this one.
    pub position: u32,
    /// Until its turn, as far as that can be known.
    pub estimated_wait: Option<Duration>,
    /// For a person.
    pub reason: String,
}

/// Stages of a load, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LoadStage {
    /// The worker process starts.
    #[default]
    Starting,
    /// The package is read and checked.
    Checking,
    /// Tokenizer and template.
    Tokenizer,
    /// ONNX Runtime reads and packs the weights.
    Weights,
    /// A first run.
    WarmingUp,
    Ready,
}

impl LoadStage {
    pub const ALL: [Self; 6] = [
        Self::Starting,
        Self::Checking,
        Self::Tokenizer,
        Self::Weights,
        Self::WarmingUp,
        Self::Ready,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Checking => "checking",
            Self::Tokenizer => "tokenizer",
            Self::Weights => "weights",
            Self::WarmingUp => "warming_up",
            Self::Ready => "ready",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }
}

/// How far a load is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadProgress {
    pub stage: LoadStage,
    /// Of the whole load, 0 to 1.
    pub fraction: f32,
}

/// What a worker says once it has loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub device: String,
    pub context_length: u32,
    pub variant: String,
    /// Precision of its weights, if known.
    pub level: Option<Quantization>,
    /// From a copy with weights already packed for this machine.
    pub prepacked: bool,
    /// How keys and values are kept, such as `f16`; empty where there is no cache.
    pub cache_type: String,
    /// For a person.
    pub warnings: Vec<String>,
}

/// How a package is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageFormat {
    /// `config.json`, tokenizer files, `onnx/model*.onnx`.
    HuggingFace,
    /// `genai_config.json` of ONNX Runtime GenAI.
    GenAi,
    /// `model.onnx` and `tokenizer.json` in one directory.
    Bare,
}

impl PackageFormat {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HuggingFace => "huggingface",
            Self::GenAi => "genai",
            Self::Bare => "bare",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::HuggingFace, Self::GenAi, Self::Bare]
            .into_iter()
            .find(|format| format.as_str() == text)
    }
}

/// What `models show` tells about a package.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelDetails {
    pub model: Model,
    pub format: PackageFormat,
    /// As the package names it; empty if it does not say.
    pub architecture: String,
    /// Longest context the package declares, tokens.
    pub context_length: Option<u32>,
    /// Files that could run, best for this machine first.
    pub variants: Vec<String>,
    pub files: Vec<PackageFile>,
    pub chat_template: Option<String>,
    pub directory: String,
    /// In the order of [`Capability::ALL`].
    pub capabilities: Vec<Capability>,
    /// The package's own defaults.
    pub sampling: Sampling,
    /// Weights of the first variant, if they can be counted.
    pub parameters: Option<u64>,
}

/// What a model can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Goes on from a text.
    Completion,
    /// Answers conversations.
    Chat,
    /// Calls tools.
    Tools,
    /// Thinks before it answers, always or when asked to.
    Thinking,
    /// Turns a text into a vector.
    Embedding,
}

impl Capability {
    pub const ALL: [Self; 5] = [
        Self::Completion,
        Self::Chat,
        Self::Tools,
        Self::Thinking,
        Self::Embedding,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completion => "completion",
            Self::Chat => "chat",
            Self::Tools => "tools",
            Self::Thinking => "thinking",
            Self::Embedding => "embedding",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.as_str() == text)
    }
}

/// One file of an installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// Relative to the package, `/`-separated.
    pub path: String,
    pub size_bytes: u64,
    /// Lower-case hex; absent for built-in models.
    pub sha256: Option<String>,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportProgress {
    pub stage: ImportStage,
    pub done_bytes: u64,
    pub total_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportStage {
    Checking,
    Copying,
    Publishing,
}

impl ImportStage {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Copying => "copying",
            Self::Publishing => "publishing",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Checking, Self::Copying, Self::Publishing]
            .into_iter()
            .find(|stage| stage.as_str() == text)
    }
}

/// What to load a model with.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadRequest {
    pub name: ModelName,
    /// Kept until the model is unloaded, unless a request brings its own.
    pub keep_alive: Option<KeepAlive>,
    /// Whether it is kept when others need memory; `None` leaves that as it is.
    pub pinned: Option<bool>,
    /// Tokens of one conversation; `None`: the configured length. A model that is loaded with
    /// another and idle is loaded anew.
    pub context_length: Option<u32>,
    /// Honoured or refused, never changed; `None`: the best that fits.
    pub level: Option<Quantization>,
    pub priority: Priority,
    /// How long it may wait for memory; `None`: as long as it takes.
    pub max_wait: Option<Duration>,
}

impl LoadRequest {
    #[must_use]
    pub const fn new(name: ModelName) -> Self {
        Self {
            name,
            keep_alive: None,
            pinned: None,
            context_length: None,
            level: None,
            priority: Priority::Api,
            max_wait: None,
        }
    }
}

/// One message of a load's stream; [`Loaded`](Self::Loaded) is the last.
#[derive(Clone, Debug, PartialEq)]
pub enum LoadEvent {
    Queued(Queued),
    Progress(LoadProgress),
    Loaded(Box<Model>),
}

/// What to copy into the model store, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRequest {
    /// Absolute path of a directory on the daemon's machine.
    pub directory: String,
    pub name: ModelName,
    /// Use the files where they are; removing the model then leaves them.
    pub link: bool,
}

/// Make a second model of the same files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRequest {
    pub source: ModelName,
    /// A name that no installed model has.
    pub destination: ModelName,
}

/// One message of an import's stream; [`Installed`](Self::Installed) is the last.
#[derive(Clone, Debug, PartialEq)]
pub enum ImportEvent {
    Progress(ImportProgress),
    Installed(Box<Model>),
}

/// What to take out of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnloadRequest {
    pub name: ModelName,
    /// Cancel active requests instead of waiting for them.
    pub force: bool,
}

/// What the daemon tells a worker to load, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLoad {
    /// Absolute path of the package.
    pub directory: String,
    /// Path of ONNX Runtime's shared library.
    pub onnxruntime_library: String,
    /// Threads of one model; `None` chooses.
    pub threads: Option<u32>,
    /// Let idle threads spin: faster alone, much slower on a busy machine.
    pub allow_spinning: bool,
    /// Upper bound of the context, tokens; `None` takes what the package declares.
    pub context_length: Option<u32>,
    /// Sequences decoded together, at least 1.
    pub parallel_requests: u32,
    /// Requests that may wait for a place in the batch.
    pub queue_length: u32,
    /// Prompt tokens computed in one step, at least 1.
    pub prompt_chunk: u32,
    /// Graph file to run, relative to the package; `None`: the best for this machine.
    pub variant: Option<String>,
    /// Directory of prepacked copies; `None`: none are used.
    pub prepacked_directory: Option<String>,
    /// Whose kernels compute, as the settings name them; `None`: the best.
    pub kernels: Option<String>,
    /// Of models whose attention is ours.
    pub cache_type: CacheType,
    /// Where keys and values are kept on the disk; `None`: nowhere.
    pub cache_on_disk: Option<CacheOnDisk>,
}

/// A directory for keys and values, which all workers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheOnDisk {
    pub directory: String,
    /// Of all models together, bytes.
    pub limit: u64,
    /// What the model is called.
    pub model: String,
}

/// How the keys and values of a conversation are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CacheType {
    /// As precisely as suits the weights.
    #[default]
    Auto,
    F32,
    F16,
    /// 8 bits, with a scale for each token and head.
    Q8,
}

impl CacheType {
    pub const ALL: [Self; 4] = [Self::Auto, Self::F32, Self::F16, Self::Q8];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One message of a worker's load; [`Loaded`](Self::Loaded) is the last.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerLoadEvent {
    Progress(LoadProgress),
    Loaded(Loaded),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_reads_back_from_its_text() {
        for source in [
            Source::Builtin,
            Source::Import("tiny".into()),
            Source::Import("a:b".into()),
            Source::Linked("/models/a:b".into()),
            Source::Hub("owner/name@0123abc".into()),
        ] {
            assert_eq!(Source::parse(&source.to_string()), Some(source));
        }
        assert_eq!(Source::parse("elsewhere"), None);
    }

    #[test]
    fn a_type_of_cache_reads_back_from_its_text() {
        for kind in CacheType::ALL {
            assert_eq!(CacheType::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(CacheType::parse("q4"), None);
    }

    #[test]
    fn a_kind_reads_back_from_its_text() {
        assert_eq!(ModelKind::parse(ModelKind::Llm.as_str()), Some(ModelKind::Llm));
        assert_eq!(ModelKind::parse("image"), None);
    }
}
