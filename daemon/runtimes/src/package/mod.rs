//! A model package on disk: which layout it has, what it declares, which file to run.
//!
//! Owns reading and checking, without ONNX Runtime. A package is untrusted input: every path is
//! kept inside it ([`Files`]), every size is bounded, and a wrong value is reported with file and
//! field. Tokenizers and templates are read by [`crate::llm::text`].

mod config;
mod error;
mod estimate;
mod files;
mod json;
mod variant;
mod weights;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use airunner_core::Fault;
use airunner_core::generate::Sampling;
use airunner_core::model::{Capability, ModelKind, PackageFile, PackageFormat};

pub use config::ModelConfig;
pub use error::PackageError;
pub(crate) use estimate::level_of;
pub use estimate::{ESTIMATOR_VERSION, EstimateOptions, estimate};
pub use files::Files;
pub use json::Document;

use crate::llm::{self, text::MAX_TOKENIZER_BYTES};
use crate::onnx::{self, Graph};

/// What the program itself writes into a package's directory when it installs one.
pub const MANIFEST: &str = "airunner-manifest.json";

const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;

/// What a package is, read without loading it.
#[derive(Clone, Debug, PartialEq)]
pub struct PackageSummary {
    pub format: PackageFormat,
    pub kind: ModelKind,
    /// As the package names it; empty if it does not say.
    pub architecture: String,
    /// Longest context the package declares, tokens.
    pub context_length: Option<u32>,
    /// Graph files relative to the package, best for this machine first.
    pub variants: Vec<String>,
    pub chat_template: Option<String>,
    pub capabilities: Vec<Capability>,
    /// The package's own defaults.
    pub sampling: Sampling,
    /// Weights of the first variant, if they can be counted.
    pub parameters: Option<u64>,
    /// Bytes of all files.
    pub size_bytes: u64,
    /// All files, in order of their names.
    pub files: Vec<PackageFile>,
    /// The files that the first variant needs; the other variants' files are left out.
    pub needed: Vec<String>,
    /// For a person.
    pub warnings: Vec<String>,
}

/// Reads and checks the package in a directory.
pub fn inspect(directory: &Path) -> Result<PackageSummary, Fault> {
    #[cfg(feature = "fake-runtime")]
    if let Some(summary) = crate::fake::inspect(directory)? {
        return Ok(summary);
    }
    Ok(Package::open(directory)?.summary()?)
}

/// An opened package, one of whose variants has been checked.
#[derive(Clone, Debug)]
pub struct Package {
    files: Files,
    format: PackageFormat,
    config: ModelConfig,
    variants: Vec<String>,
    chosen: String,
    graph: Graph,
}

/// A package directory whose layout and settings are understood.
struct Layout {
    files: Files,
    format: PackageFormat,
    config: ModelConfig,
    /// The best for this machine first; never empty.
    variants: Vec<String>,
}

impl Layout {
    fn read(directory: &Path) -> Result<Self, PackageError> {
        let files = Files::open(directory)?;
        let (format, config, variants) = if files.has(config::GENAI_CONFIG) {
            let (config, variants) = open_genai(&files)?;
            (PackageFormat::GenAi, config, variants)
        } else {
            let (format, variants) = find_graphs(&files)?;
            (format, ModelConfig::read_hugging_face(&files)?, variants)
        };
        files.locate_within(TOKENIZER, MAX_TOKENIZER_BYTES)?;
        Ok(Self {
            files,
            format,
            config,
            variants,
        })
    }
}

impl Package {
    /// With the variant that is best for this machine.
    pub fn open(directory: &Path) -> Result<Self, PackageError> {
        Self::open_variant(directory, None)
    }

    /// With one of the package's own variants.
    pub fn open_variant(directory: &Path, variant: Option<&str>) -> Result<Self, PackageError> {
        let Layout {
            files,
            format,
            config,
            variants,
        } = Layout::read(directory)?;
        let chosen = match variant {
            None => variants.first().ok_or_else(|| not_a_package(&files))?,
            Some(wanted) => variants.iter().find(|known| *known == wanted).ok_or_else(|| {
                PackageError::UnknownVariant {
                    variant: wanted.to_owned(),
                    known: variants.join(", "),
                }
            })?,
        }
        .clone();
        let graph = onnx::inspect(&files, &chosen)?;
        Ok(Self {
            files,
            format,
            config,
            variants,
            chosen,
            graph,
        })
    }

    /// Bytes of keys and values that an estimate reckons with for so many tokens: what is set aside
    /// for all conversations together.
    pub(crate) fn cache_bytes(&self, tokens: u64) -> u64 {
        estimate::cache_bytes(&self.graph, &self.config, tokens)
    }

    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The graph file to run, relative to the package.
    #[must_use]
    pub fn variant(&self) -> &str {
        &self.chosen
    }

    /// Where that file is.
    pub(crate) fn graph_path(&self) -> Result<PathBuf, PackageError> {
        self.files.locate(self.variant()).map(|(path, _)| path)
    }

    /// What the variant's graph contains.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    fn summary(self) -> Result<PackageSummary, PackageError> {
        let files = self.files.list()?;
        let needed = self.needed(&files);
        let chat_template = chat_template(&self.files)?;
        Ok(PackageSummary {
            capabilities: capabilities(chat_template.as_deref()),
            parameters: estimate::parameters_of(&self.files, self.variant())?,
            format: self.format,
            kind: ModelKind::Llm,
            architecture: self.config.architecture,
            context_length: self.config.context_length,
            chat_template,
            sampling: self.config.sampling,
            size_bytes: files.iter().map(|file| file.size_bytes).sum(),
            files,
            needed,
            variants: self.variants,
            warnings: self.config.warnings,
        })
    }

    /// Everything but graphs and weights of other variants.
    fn needed(&self, files: &[PackageFile]) -> Vec<String> {
        let external = onnx::external_files(self.variant(), &self.graph);
        let is_weights = |path: &str| path.contains(".onnx");
        files
            .iter()
            .map(|file| file.path.as_str())
            .filter(|path| {
                *path == self.variant() || external.iter().any(|name| name == path) || !is_weights(path)
            })
            .map(str::to_owned)
            .collect()
    }
}

/// What a language model with this chat template can be asked for.
pub(crate) fn capabilities(template: Option<&str>) -> Vec<Capability> {
    let Some(template) = template else {
        return vec![Capability::Completion];
    };
    let abilities = llm::text::Abilities::of(template);
    let optional = [
        (abilities.tools, Capability::Tools),
        (abilities.thinking, Capability::Thinking),
    ];
    let has = optional
        .into_iter()
        .filter_map(|(has, capability)| has.then_some(capability));
    [Capability::Completion, Capability::Chat]
        .into_iter()
        .chain(has)
        .collect()
}

fn not_a_package(files: &Files) -> PackageError {
    PackageError::NotAPackage {
        path: files.root().to_owned(),
    }
}

fn open_genai(files: &Files) -> Result<(ModelConfig, Vec<String>), PackageError> {
    let document = Document::read(files, config::GENAI_CONFIG)?;
    for part in ["encoder", "speech", "joiner", "vad"] {
        if document.get(&format!("model.{part}")).is_some() {
            return Err(PackageError::Incompatible(format!(
                "it has a model.{part}; only language models that decode by themselves run"
            )));
        }
    }
    if document.get("model.decoder.pipeline").is_some() {
        return Err(PackageError::Incompatible(
            "its decoder is a pipeline of several graphs (model.decoder.pipeline)".to_owned(),
        ));
    }
    let graph = document
        .text("model.decoder.filename")?
        .unwrap_or("model.onnx")
        .to_owned();
    Ok((ModelConfig::read_genai(&document)?, vec![graph]))
}

/// Graphs in `onnx/`, or else beside the tokenizer.
fn find_graphs(files: &Files) -> Result<(PackageFormat, Vec<String>), PackageError> {
    if files.has("encoder_model.onnx") || files.has("onnx/encoder_model.onnx") {
        return Err(PackageError::Incompatible(
            "it is an encoder-decoder model; only models that decode by themselves run".to_owned(),
        ));
    }
    if files.has(config::HF_CONFIG) && files.has("onnx") {
        let graphs = graphs_in(files, "onnx")?;
        if !graphs.is_empty() {
            return Ok((PackageFormat::HuggingFace, graphs));
        }
    }
    let graphs = graphs_in(files, "")?;
    if graphs.is_empty() {
        return Err(not_a_package(files));
    }
    Ok((PackageFormat::Bare, graphs))
}

fn graphs_in(files: &Files, directory: &str) -> Result<Vec<String>, PackageError> {
    let path = files.root().join(directory);
    let read = |source| PackageError::Read {
        path: path.clone(),
        source,
    };
    let mut names = Vec::new();
    for entry in path.read_dir().map_err(read)? {
        names.extend(entry.map_err(read)?.file_name().into_string());
    }
    let found = variant::for_cpu(names.iter().map(String::as_str));
    let prefix = if directory.is_empty() {
        String::new()
    } else {
        format!("{directory}/")
    };
    Ok(found.into_iter().map(|name| format!("{prefix}{name}")).collect())
}

/// `chat_template.jinja`, or the (default) template of the tokenizer's settings.
fn chat_template(files: &Files) -> Result<Option<String>, PackageError> {
    if files.has(TEMPLATE) {
        return files.read_text(TEMPLATE, MAX_TEMPLATE_BYTES).map(Some);
    }
    let Some(document) = Document::read_if_present(files, TOKENIZER_CONFIG)? else {
        return Ok(None);
    };
    let Some(template) = document.get("chat_template") else {
        return Ok(None);
    };
    if let Some(text) = template.as_str() {
        return Ok(Some(text.to_owned()));
    }
    let named = template
        .as_array()
        .ok_or_else(|| document.wrong("chat_template", "a text or a list", template))?;
    let text_of = |entry: &serde_json::Value| Some(entry.get("template")?.as_str()?.to_owned());
    let default = named
        .iter()
        .find(|entry| entry.get("name").is_some_and(|name| name == "default"));
    Ok(default.or_else(|| named.first()).and_then(text_of))
}
