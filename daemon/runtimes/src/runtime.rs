//! What a worker process asks of a loaded model.

use std::path::PathBuf;
use std::time::Instant;

use airunner_core::Fault;
use airunner_core::generate::{GenerateEvent, GenerateRequest};
use airunner_core::model::{CacheType, LoadProgress, Loaded};
pub use airunner_core::tokenize::TokenizeInput;
use tokio::sync::mpsc;

use crate::Kernels;

/// What to load and how.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The package.
    pub directory: PathBuf,
    /// ONNX Runtime's shared library.
    pub onnxruntime_library: PathBuf,
    /// Threads of one model; `None`: one per physical core this process may use.
    pub threads: Option<usize>,
    /// Let idle threads spin: faster alone, much slower on a busy machine.
    pub allow_spinning: bool,
    /// Upper bound of the context, tokens; `None` takes what the package declares.
    pub context_length: Option<u32>,
    /// Sequences decoded together.
    pub parallel_requests: usize,
    /// Requests that may wait for a place in the batch.
    pub queue_length: usize,
    /// Prompt tokens computed in one step.
    pub prompt_chunk: usize,
    /// Graph file to run, relative to the package; `None`: the best for this machine.
    pub variant: Option<String>,
    /// Directory of prepacked copies; `None`: none are used.
    pub prepacked_directory: Option<PathBuf>,
    /// Whose kernels compute: what copies are made, and which are used.
    pub kernels: Kernels,
    /// How copies whose attention is ours keep keys and values.
    pub cache_type: CacheType,
    /// Where keys and values are kept on the disk; `None`: nowhere, and none are looked for.
    pub cache_on_disk: Option<CacheOnDisk>,
}

/// A directory of keys and values, which all who load models may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheOnDisk {
    /// It must be there and closed to others: its files can tell what was said.
    pub directory: PathBuf,
    /// Of all models together, bytes.
    pub limit: u64,
    /// What the model is called; when it goes, what is kept of it goes.
    pub model: String,
}

/// A loaded language model. Dropping it ends its thread and gives the memory back.
pub trait LlmRuntime: Send + Sync {
    fn loaded(&self) -> &Loaded;

    /// Puts a request into the queue. The events come in the order of
    /// [`GenerateEvent`]; `Done` or an error is the last. Dropping the receiver cancels the
    /// request before the next step. A reader that does not keep up pauses only its own request.
    ///
    /// Blocks while the prompt is tokenized, which takes seconds for a very long one. If the
    /// model is dropped, the last event is an error or, for a reader that rests, missing.
    ///
    /// `arrived` is when the request reached this process, for the timings.
    fn generate(
        &self,
        request: GenerateRequest,
        arrived: Instant,
    ) -> Result<mpsc::Receiver<Result<GenerateEvent, Fault>>, Fault>;

    fn tokenize(&self, input: &TokenizeInput) -> Result<Vec<u32>, Fault>;

    fn detokenize(&self, tokens: &[u32], skip_special_tokens: bool) -> Result<String, Fault>;

    /// Gives back memory that can be had again by computing: what earlier conversations left and
    /// what the allocator keeps. Blocks until that is done; a step in progress is finished first.
    fn trim(&self) -> Result<(), Fault>;

    /// Computes with at most so many threads from the next operator on, without changing what is
    /// computed; returns how many those are. Never fewer than one nor more than it was loaded
    /// with. Models that ONNX Runtime's own kernels compute keep all of theirs.
    fn use_threads(&self, most: usize) -> usize;
}

/// Loads the model package in `options.directory`, saying how far it is.
///
/// Blocks until the model can answer. With the feature `fake-runtime`, a package with
/// `fake-model.json` becomes a scripted model.
pub fn load(
    options: &LoadOptions,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Box<dyn LlmRuntime>, Fault> {
    #[cfg(feature = "fake-runtime")]
    if let Some(fake) = crate::fake::load(options, progress)? {
        return Ok(fake);
    }
    crate::llm::load(options, progress)
}
