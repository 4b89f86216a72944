//! A scripted model for tests of everything above the runtimes.
//!
//! A package is fake if its directory holds `fake-model.json`. It computes nothing: it streams
//! what the file says, and fails, crashes or hangs where the file says so. Two runs of the same
//! file differ in timing only. Compiled with the feature `fake-runtime`, never in a release.
//!
//! What a request asks for is honoured where it can be: no call with the tool choice `none`, the
//! named one with a function, and one made up if a call is asked for and none is scripted; no
//! reasoning where the template's variable `enable_thinking` is false; log-probabilities, which are
//! made up. Tokens are single bytes.
//!
//! All fields of the file have defaults; unknown fields are an error.
//!
//! | field | meaning |
//! |---|---|
//! | `load_ms_steps` | array: wait so many milliseconds, then report the next piece of loading; default none |
//! | `tokens` | array of texts streamed one by one; absent: the prompt's words are echoed |
//! | `repeat` | stream `tokens` again and again until `max_tokens` or the context ends it |
//! | `reasoning` | array of texts streamed before the answer as reasoning |
//! | `tool_calls` | array of `{"name", "arguments"}` streamed after the answer; the answer ends with `tool_calls` |
//! | `argument_pieces` | in how many pieces the arguments of a call are streamed; default 1 |
//! | `json_text` | streamed instead of `tokens` where JSON is asked for; without both, the smallest value that a simple schema allows |
//! | `token_interval_ms` | wait before each token; default 0 |
//! | `prompt_ms` | wait before the first token; default 0 |
//! | `context_length` | default 4096; one word of the prompt counts as one token |
//! | `architecture`, `warnings`, `chat_template` | as a true package would report them |
//! | `capabilities` | array of what the package says it can do; default: what answers of the script and its template hold |
//! | `memory_bytes` | allocated and written to on load |
//! | `cache_bytes_per_token` | allocated and written to on load, as often as the context has tokens |
//! | `variants` | array of `{"file", "level", "weights_bytes", "cache_bytes_per_token", "activation_bytes"}`, the best first; what the loaded one says is allocated instead of the two fields above |
//! | `estimate_bytes` | what the estimate says in all, whatever is really allocated; default: what is allocated and the process |
//! | `out_of_memory_above` | a load that would have to allocate more bytes fails as `out_of_memory` |
//! | `kill_on_load_times` | the process kills itself during so many first loads; they are counted in `.fake-loads` beside the file |
//! | `fail` | `{"load": "message"}`, `{"generate": "message"}` or `{"inspect": "message"}`; a key `kind` beside it names another reason than `model_invalid` |
//! | `crash_on` | `"load"` or `"generate:N"`: the process aborts then, `N` tokens into the answer |
//! | `hang_on` | `"load"`, `"generate:N"` or `"unload"`: never goes on from there; a hanging answer can be cancelled |
//! | `waits_for` | `{"place", "file"}` with a place as above, but not `"unload"`: goes on from there once the file exists |
//! | `nan` | every request fails as `model_faulty` |
//! | `stall_ms` | after how long a reader that does not read is given up; default 60000 |

mod answer;
mod runtime;
mod script;
mod smallest;

#[cfg(test)]
mod tests;

use std::path::Path;

use airunner_core::Fault;
use airunner_core::generate::Sampling;
use airunner_core::memory::{PackageEstimate, VariantEstimate};
use airunner_core::model::{LoadProgress, ModelKind, PackageFormat};

use crate::package::PackageSummary;
use crate::{LlmRuntime, LoadOptions};
use script::{Place, Script, ScriptedVariant};

const FILE: &str = "fake-model.json";
/// Resident memory of a worker with a fake model that allocates nothing, bytes: measured.
const OVERHEAD: u64 = 12 << 20;

/// `None` if the package is not fake.
pub(crate) fn inspect(directory: &Path) -> Result<Option<PackageSummary>, Fault> {
    let Some((files, script)) = Script::read(directory)? else {
        return Ok(None);
    };
    script.fail_at("inspect")?;
    let variants = script.variants().into_iter();
    let variants = variants.map(|variant| variant.file).collect();
    let listed = files.list()?;
    let weights = script.variants().into_iter().map(|variant| variant.weights_bytes);
    let capabilities = script.capabilities();
    let parameters = weights.max().filter(|&bytes| bytes > 0);
    Ok(Some(PackageSummary {
        format: PackageFormat::Bare,
        kind: ModelKind::Llm,
        architecture: script.architecture,
        context_length: Some(script.context_length),
        variants,
        capabilities,
        chat_template: script.chat_template,
        sampling: Sampling::default(),
        parameters,
        size_bytes: listed.iter().map(|file| file.size_bytes).sum(),
        needed: listed.iter().map(|file| file.path.clone()).collect(),
        files: listed,
        warnings: script.warnings,
    }))
}

/// `None` if the package is not fake.
pub(crate) fn load(
    options: &LoadOptions,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Option<Box<dyn LlmRuntime>>, Fault> {
    let Some((files, script)) = Script::read(&options.directory)? else {
        return Ok(None);
    };
    runtime::load(script, files.root(), options, progress).map(Some)
}

/// `None` if the package is not fake.
pub(crate) fn estimate(directory: &Path) -> Result<Option<PackageEstimate>, Fault> {
    let Some((_, script)) = Script::read(directory)? else {
        return Ok(None);
    };
    script.fail_at("inspect")?;
    let true_estimate = |variant: ScriptedVariant| VariantEstimate {
        file: variant.file,
        level: variant.level,
        weights_bytes: variant.weights_bytes,
        cache_bytes_per_token: variant.cache_bytes_per_token,
        cache_window: None,
        activation_bytes: variant.activation_bytes,
        activation_bytes_per_token: 0,
        loading_bytes: 0,
        step_bytes: variant.weights_bytes,
        overhead_bytes: OVERHEAD,
        compute_capability_min: None,
    };
    let told = |estimate: VariantEstimate| match script.estimate_bytes {
        None => estimate,
        Some(bytes) => VariantEstimate {
            weights_bytes: bytes,
            cache_bytes_per_token: 0,
            activation_bytes: 0,
            overhead_bytes: 0,
            ..estimate
        },
    };
    Ok(Some(PackageEstimate {
        variants: script
            .variants()
            .into_iter()
            .map(|variant| told(true_estimate(variant)))
            .collect(),
        context_length: Some(script.context_length),
    }))
}

/// Does what the script says of a place, if anything.
fn reach(script: &Script, place: Place) -> Reached {
    if script.crash_on == Some(place) {
        std::process::abort();
    }
    if script.hang_on == Some(place) {
        Reached::Hang
    } else {
        Reached::GoOn
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    GoOn,
    Hang,
}
