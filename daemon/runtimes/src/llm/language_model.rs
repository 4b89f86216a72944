//! A loaded package: text, engine and what is known of it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use airunner_core::generate::{GenerateEvent, GenerateRequest, Input, Sampling, ToolChoice};
use airunner_core::model::{LoadProgress, LoadStage, Loaded};
use airunner_core::{ErrorKind, Fault};
use tokio::sync::mpsc;

use super::ComputeError;
use super::allocator;
use super::constraint::Constraints;
use super::engine::{Engine, EngineOptions, Work};
use super::kv::paged::BLOCK_TOKENS;
use super::kv::{self, Cache};
use super::prepack;
use super::rewritten;
use super::sampling::Sampler;
use super::session::Model;
use super::spilled::{Facts, Spilled, identity};
use super::text::TextModel;
use super::threads::Share;
use crate::onnx::{Attention, Operator};
use crate::package::{Package, level_of};
use crate::{LlmRuntime, LoadOptions, TokenizeInput};

/// Unless a setting says otherwise: longer contexts take memory that most conversations never use.
const DEFAULT_CONTEXT: u32 = 8192;
/// For packages that declare no context length.
const UNDECLARED_CONTEXT: u32 = 2048;

struct LanguageModel {
    text: TextModel,
    constraints: Constraints,
    /// The package's defaults.
    sampling: Sampling,
    loaded: Loaded,
    engine: Engine,
    threads: Arc<Share>,
}

pub(crate) fn load(
    options: &LoadOptions,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Box<dyn LlmRuntime>, Fault> {
    let mut report = |stage, fraction| progress(LoadProgress { stage, fraction });
    report(LoadStage::Checking, 0.0);
    let package = Package::open_variant(&options.directory, options.variant.as_deref())?;
    report(LoadStage::Tokenizer, 0.05);
    // Neither needs the other, and a tokenizer takes as long as weights that are packed already.
    let (text, model) = std::thread::scope(|scope| {
        let text = scope.spawn(|| TextModel::load(package.files().root(), &package.config().end_tokens));
        report(LoadStage::Weights, 0.2);
        let model = Model::open(&package, options);
        (text.join(), model)
    });
    let text = text.map_err(|_| Fault::internal("the tokenizer's thread panicked"))??;
    let mut model = model?;
    // Not before: packing needs the same large pieces again and again, and each would be pages
    // that the kernel has to clear first.
    allocator::keep_little();
    allocator::give_back();
    report(LoadStage::WarmingUp, 0.9);
    let mut loaded = describe(&package, options)?;
    let slots = options.parallel_requests.max(1);
    let mut cache = open_cache(&model, &package, slots, loaded.context_length as usize);
    warm_up(&mut model, &mut *cache)?;
    if let Some(spilled) = open_spilled(&model, options) {
        cache.use_disk(spilled);
    }
    loaded.prepacked = model.is_prepacked;
    loaded.cache_type = model.cache_type().to_owned();
    if !cache.keeps() {
        loaded.warnings.push(
            "the graph has no key/value cache: every token computes the whole conversation again".to_owned(),
        );
    }
    for warning in &loaded.warnings {
        tracing::warn!(variant = %loaded.variant, "{warning}");
    }
    let threads = Arc::clone(&model.threads);
    let engine = Engine::start(
        model,
        cache,
        EngineOptions {
            parallel_requests: slots,
            queue_length: options.queue_length,
            prompt_chunk: options.prompt_chunk,
        },
    )?;
    report(LoadStage::Ready, 1.0);
    Ok(Box::new(LanguageModel {
        constraints: Constraints::new(&text),
        text,
        sampling: package.config().sampling.clone(),
        loaded,
        engine,
        threads,
    }))
}

fn describe(package: &Package, options: &LoadOptions) -> Result<Loaded, Fault> {
    let config = package.config();
    let mut warnings = config.warnings.clone();
    if config.context_length.is_none() && options.context_length.is_none() {
        warnings.push(format!(
            "the package does not declare a context length: {UNDECLARED_CONTEXT} tokens are assumed"
        ));
    }
    Ok(Loaded {
        device: "cpu".to_owned(),
        context_length: context_length(config.context_length, options.context_length),
        variant: package.variant().to_owned(),
        level: Some(level_of(package.files(), package.variant())?),
        prepacked: false,
        cache_type: String::new(),
        warnings,
    })
}

fn context_length(declared: Option<u32>, wanted: Option<u32>) -> u32 {
    match (declared, wanted) {
        (Some(declared), Some(wanted)) => declared.min(wanted),
        (Some(declared), None) => declared.min(DEFAULT_CONTEXT),
        (None, wanted) => wanted.unwrap_or(UNDECLARED_CONTEXT),
    }
    .max(1)
}

pub(crate) fn open_cache(
    model: &Model,
    package: &Package,
    slots: usize,
    context_length: usize,
) -> Box<dyn Cache> {
    let grouped = Operator {
        domain: "com.microsoft".to_owned(),
        name: "GroupQueryAttention".to_owned(),
    };
    let grouped_nodes = package.graph().operators.get(&grouped).copied().unwrap_or(0);
    let attention: Attention = package.graph().attention();
    let reserved = package.cache_bytes(context_length as u64);
    kv::for_model(model, attention, grouped_nodes, slots, context_length, reserved)
}

/// Where keys and values are kept on the disk, if that is asked for and they are ours. What is
/// wrong with it costs time, not answers.
fn open_spilled(model: &Model, options: &LoadOptions) -> Option<Spilled> {
    let (wanted, pages) = (options.cache_on_disk.as_ref()?, model.paged.as_ref()?);
    let instructions = options.kernels.instructions().map(|isa| isa.to_string());
    let facts = Facts {
        model: &wanted.model,
        copy: model.copy.as_deref()?,
        instructions: &instructions.unwrap_or_default(),
        layers: &pages.form(),
        block_tokens: BLOCK_TOKENS,
        aside: &prepack::ABOUT,
        sizes: &rewritten::WEIGHTS,
    };
    let opened = identity(&facts).and_then(|identity| Spilled::open(wanted, identity, pages.block_bytes()));
    opened
        .inspect_err(|error| tracing::warn!(%error, "keys and values cannot be kept on the disk"))
        .ok()
}

/// A first run shows what no description does: that the graph computes, and gives logits.
fn warm_up(model: &mut Model, cache: &mut dyn Cache) -> Result<(), Fault> {
    let failed = |error: ComputeError| {
        // Where ONNX Runtime does not say more: this graph has never worked.
        let unspecific = error.kind() == ErrorKind::Internal;
        let kind = if unspecific {
            ErrorKind::ModelIncompatible
        } else {
            error.kind()
        };
        Fault::new(kind, format!("the graph fails in its first run: {error}"))
    };
    cache.extend(model, 0, &[0]).map_err(failed)?;
    cache.truncate(0, 0).map_err(Fault::from)
}

impl LlmRuntime for LanguageModel {
    fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    fn generate(
        &self,
        mut request: GenerateRequest,
        arrived: Instant,
    ) -> Result<mpsc::Receiver<Result<GenerateEvent, Fault>>, Fault> {
        request.validate()?;
        if let (ToolChoice::None, Input::Conversation(conversation)) =
            (&request.tool_choice, &mut request.input)
        {
            conversation.tools.clear();
        }
        let ticket = self.engine.ticket()?;
        let context = self.loaded.context_length as usize;
        let prompt = self.text.prompt(&request.input, context)?;
        let constraint = self.constraints.for_request(&self.text, &request, &prompt)?;
        let room = context.saturating_sub(prompt.tokens.len());
        let seed = fresh_seed();
        let output = self.text.output(&request, &prompt, seed);
        let sampling = request.sampling.or(&self.sampling);
        let work = Work {
            sampler: Sampler::new(&sampling, request.top_logprobs, seed, &prompt.tokens),
            output,
            constraint,
            limit: request.max_tokens.map_or(room, |most| room.min(most as usize)),
            prompt: prompt.tokens,
            client: request.client,
            is_private: request.is_private,
            priority: request.priority,
            arrived,
        };
        self.engine.submit(ticket, work)
    }

    fn tokenize(&self, input: &TokenizeInput) -> Result<Vec<u32>, Fault> {
        match input {
            TokenizeInput::Text {
                text,
                add_special_tokens,
            } => self.text.tokenize(text, *add_special_tokens),
            TokenizeInput::Conversation(conversation) => self.text.tokenize_conversation(conversation),
        }
    }

    fn trim(&self) -> Result<(), Fault> {
        self.engine.trim()?;
        allocator::give_back();
        Ok(())
    }

    fn use_threads(&self, most: usize) -> usize {
        self.threads.limit(most)
    }

    fn detokenize(&self, tokens: &[u32], skip_special_tokens: bool) -> Result<String, Fault> {
        Ok(self.text.tokenizer().decode(tokens, skip_special_tokens)?)
    }
}

/// Different for every request.
fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::context_length;

    #[test]
    fn the_shorter_of_setting_and_declaration() {
        for (declared, wanted, expected) in [
            (Some(4096), None, 4096),
            (Some(131_072), None, 8192),
            (Some(131_072), Some(32_768), 32_768),
            (Some(4096), Some(32_768), 4096),
            (None, None, 2048),
            (None, Some(512), 512),
            (Some(0), None, 1),
        ] {
            assert_eq!(
                context_length(declared, wanted),
                expected,
                "{declared:?} {wanted:?}"
            );
        }
    }
}
