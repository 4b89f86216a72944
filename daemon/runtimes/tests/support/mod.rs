//! What the tests over true packages share.

use std::path::{Path, PathBuf};
use std::time::Instant;

use airunner_core::generate::{Done, GenerateEvent, GenerateRequest, Input, TextDelta};
use airunner_core::model::CacheType;
use airunner_core::{Fault, ModelName};
use airunner_runtimes::{Kernels, LlmRuntime, LoadOptions};
use tokio::sync::mpsc::Receiver;

pub(crate) fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/testdata/parity")
}

/// ONNX Runtime's library, as `cargo xtask setup` stages it or `ORT_DYLIB_PATH` names it.
#[expect(clippy::disallowed_methods, reason = "tests have no config module")]
pub(crate) fn onnxruntime_library() -> PathBuf {
    let named = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let staged = || {
        let executable = std::env::current_exe().ok()?;
        let target = executable.ancestors().nth(3)?.join("lib/airunner");
        let names = ["libonnxruntime.so.1", "libonnxruntime.dylib", "onnxruntime.dll"];
        names
            .iter()
            .map(|name| target.join(name))
            .find(|path| path.is_file())
    };
    named
        .or_else(staged)
        .expect("no ONNX Runtime library: run `cargo xtask setup`, or set ORT_DYLIB_PATH")
}

pub(crate) fn options(directory: &Path) -> LoadOptions {
    LoadOptions {
        directory: directory.to_owned(),
        onnxruntime_library: onnxruntime_library(),
        threads: Some(1),
        allow_spinning: false,
        context_length: None,
        parallel_requests: 8,
        queue_length: 64,
        prompt_chunk: 256,
        variant: None,
        prepacked_directory: None,
        kernels: Kernels::Auto,
        cache_type: CacheType::Auto,
        cache_on_disk: None,
    }
}

pub(crate) fn load(options: &LoadOptions) -> Result<Box<dyn LlmRuntime>, Fault> {
    airunner_runtimes::load(options, &mut |_| {})
}

/// A greedy request that reports its tokens.
pub(crate) fn greedy(prompt: &str, max_tokens: Option<u32>) -> GenerateRequest {
    let mut request = GenerateRequest::new(ModelName::new("parity").unwrap(), Input::Raw(prompt.to_owned()));
    request.sampling.temperature = Some(0.0);
    // Packages ask for penalties that the reference did not apply.
    request.sampling.repetition_penalty = Some(1.0);
    request.max_tokens = max_tokens;
    request.top_logprobs = Some(0);
    request
}

/// One whole answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) tokens: Vec<u32>,
    pub(crate) events: Vec<GenerateEvent>,
    pub(crate) done: Option<Done>,
}

impl Answer {
    pub(crate) fn done(&self) -> &Done {
        self.done
            .as_ref()
            .unwrap_or_else(|| panic!("the answer has an end: {:?}", self.events.last()))
    }

    fn add(&mut self, delta: &TextDelta) {
        self.text.push_str(&delta.text);
        self.tokens
            .extend(delta.logprobs.iter().map(|logprob| logprob.token_id));
    }
}

pub(crate) fn read(mut receiver: Receiver<Result<GenerateEvent, Fault>>) -> Result<Answer, Fault> {
    let mut answer = Answer::default();
    while let Some(event) = receiver.blocking_recv() {
        let event = event?;
        match &event {
            GenerateEvent::Text(delta) | GenerateEvent::Reasoning(delta) => answer.add(delta),
            GenerateEvent::Done(done) => answer.done = Some(done.clone()),
            GenerateEvent::Queued(_)
            | GenerateEvent::Loading(_)
            | GenerateEvent::Prompt { .. }
            | GenerateEvent::ToolCall(_) => {}
        }
        answer.events.push(event);
    }
    Ok(answer)
}

pub(crate) fn ask(model: &dyn LlmRuntime, request: GenerateRequest) -> Result<Answer, Fault> {
    read(model.generate(request, Instant::now())?)
}
