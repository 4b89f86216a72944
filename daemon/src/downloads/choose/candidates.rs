//! The variants a repository has, by its layout.

use airunner_core::hardware::Device;
use airunner_core::memory::Quantization;
use airunner_core::{ErrorKind, Fault};

use super::files;
use crate::downloads::hub::{Listing, RemoteFile};

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "config.json";
const GENAI_CONFIG: &str = "genai_config.json";

/// For which devices a package was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MadeFor {
    Anything,
    Cpu,
    Cuda,
    /// Something this program does not use.
    Other,
}

/// One variant with everything it needs.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'l> {
    /// Relative to the repository.
    pub(super) graph: String,
    /// With a slash at its end; empty: the repository itself.
    pub(super) directory: String,
    pub(super) level: Option<Quantization>,
    pub(super) files: Vec<&'l RemoteFile>,
    made_for: MadeFor,
    /// Lower is better among those of one level.
    rank: usize,
}

impl Candidate<'_> {
    pub(super) fn runs_on(&self, device: Device) -> bool {
        match device {
            Device::Cpu => matches!(self.made_for, MadeFor::Anything | MadeFor::Cpu),
            Device::Cuda(_) => matches!(self.made_for, MadeFor::Anything | MadeFor::Cuda),
            Device::Rocm(_) => self.made_for == MadeFor::Anything,
        }
    }

    /// Bytes of graphs and weights, as far as the hub tells.
    pub(super) fn weights(&self) -> u64 {
        let sizes = self.files.iter().filter_map(|file| file.content);
        sizes.fold(0, |sum: u64, content| sum.saturating_add(content.size))
    }
}

/// Every variant, the best of each level first.
pub(super) fn find(listing: &Listing) -> Result<Vec<Candidate<'_>>, Fault> {
    let mut found = Vec::new();
    #[cfg(feature = "fake-runtime")]
    found.extend(scripted(listing));
    found.extend(genai(listing));
    if found.is_empty() {
        found = hugging_face(listing)?;
    }
    if found.is_empty() {
        return Err(incompatible(
            "the repository has no ONNX model that this program can run: it needs onnx/model*.onnx with config.json \
             and tokenizer.json, or a directory with genai_config.json",
        ));
    }
    found.sort_by(|one, other| (one.rank, &one.graph).cmp(&(other.rank, &other.graph)));
    Ok(found)
}

fn incompatible(message: &str) -> Fault {
    Fault::new(ErrorKind::ModelIncompatible, message)
}

/// Directory (with its slash) and name.
fn split(path: &str) -> (&str, &str) {
    path.rfind('/')
        .map_or(("", path), |slash| path.split_at(slash + 1))
}

/// Graphs in `onnx/`, or else beside the tokenizer; settings at the top.
fn hugging_face(listing: &Listing) -> Result<Vec<Candidate<'_>>, Fault> {
    let has = |path: &str| listing.files.iter().any(|file| file.path == path);
    if has("encoder_model.onnx") || has("onnx/encoder_model.onnx") {
        return Err(incompatible(
            "it is an encoder-decoder model; only models that decode by themselves run",
        ));
    }
    for directory in ["onnx/", ""] {
        let found: Vec<_> = listing
            .files
            .iter()
            .filter(|file| split(&file.path).0 == directory)
            .filter_map(|file| hugging_face_variant(listing, file))
            .collect();
        if found.is_empty() || (directory == "onnx/" && !has(CONFIG)) {
            continue;
        }
        if has(TOKENIZER) {
            return Ok(found);
        }
        return Err(incompatible("the repository has no tokenizer.json"));
    }
    Ok(Vec::new())
}

fn hugging_face_variant<'l>(listing: &'l Listing, graph: &'l RemoteFile) -> Option<Candidate<'l>> {
    let (rank, level) = files::graph(split(&graph.path).1)?;
    let files = listing
        .files
        .iter()
        .filter(|file| {
            file.path == graph.path
                || files::is_companion(&file.path)
                || files::is_data_of(&graph.path, &file.path)
        })
        .collect();
    Some(Candidate {
        graph: graph.path.clone(),
        directory: String::new(),
        level: Some(level),
        files,
        made_for: MadeFor::Anything,
        rank,
    })
}

/// Every directory with the settings of ONNX Runtime GenAI is a package.
fn genai(listing: &Listing) -> Vec<Candidate<'_>> {
    let directories = listing.files.iter().filter_map(|file| {
        let (directory, name) = split(&file.path);
        (name == GENAI_CONFIG).then_some(directory)
    });
    directories
        .filter_map(|directory| genai_variant(listing, directory))
        .collect()
}

fn genai_variant<'l>(listing: &'l Listing, directory: &str) -> Option<Candidate<'l>> {
    let files: Vec<&RemoteFile> = listing
        .files
        .iter()
        .filter(|file| {
            let (inside, name) = split(&file.path);
            inside == directory && files::is_plain(name)
        })
        .collect();
    let graphs = files.iter().filter(|file| file.path.ends_with(".onnx"));
    let graph = graphs.max_by_key(|file| {
        (
            split(&file.path).1 == "model.onnx",
            file.content.map(|content| content.size),
        )
    })?;
    Some(Candidate {
        graph: graph.path.clone(),
        directory: directory.to_owned(),
        level: files::level_in(directory).or_else(|| files::level_in(split(&graph.path).1)),
        made_for: made_for(directory),
        // A directory for anything may be a wrong guess, so a plain one is better.
        rank: usize::from(made_for(directory) == MadeFor::Anything),
        files,
    })
}

fn made_for(directory: &str) -> MadeFor {
    let directory = directory.to_ascii_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| directory.contains(word));
    if names(&[
        "directml", "dml", "webgpu", "qnn", "npu", "openvino", "vitis", "ryzen", "migraphx", "rocm",
    ]) {
        MadeFor::Other
    } else if names(&["cuda", "gpu", "trt", "tensorrt"]) {
        MadeFor::Cuda
    } else if names(&["cpu"]) {
        MadeFor::Cpu
    } else {
        MadeFor::Anything
    }
}

/// A package of the scripted runtime, whole.
#[cfg(feature = "fake-runtime")]
fn scripted(listing: &Listing) -> Option<Candidate<'_>> {
    let script = listing.files.iter().find(|file| file.path == "fake-model.json")?;
    Some(Candidate {
        graph: script.path.clone(),
        directory: String::new(),
        level: None,
        files: listing
            .files
            .iter()
            .filter(|file| files::is_plain(split(&file.path).1))
            .collect(),
        made_for: MadeFor::Anything,
        rank: 0,
    })
}
