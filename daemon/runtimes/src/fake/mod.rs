//! A scripted model for tests of everything above the runtimes.
//!
//! A package is fake if its directory holds `fake-model.json`. It computes nothing: it streams
//! what the file says, and fails, crashes or hangs where the file says so. Two runs of the same
//! file differ in timing only. Compiled with the feature `fake-runtime`, never in a release.
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
//! | `token_interval_ms` | wait before each token; default 0 |
//! | `prompt_ms` | wait before the first token; default 0 |
//! | `context_length` | default 4096; one word of the prompt counts as one token |
//! | `architecture`, `warnings`, `chat_template` | as a true package would report them |
//! | `memory_bytes` | allocated and written to on load |
//! | `fail` | `{"load": "message"}`, `{"generate": "message"}` or `{"inspect": "message"}`; a key `kind` beside it names another reason than `model_invalid` |
//! | `crash_on` | `"load"` or `"generate:N"`: the process aborts then, `N` tokens into the answer |
//! | `hang_on` | `"load"`, `"generate:N"` or `"unload"`: never goes on from there; a hanging answer can be cancelled |
//! | `nan` | every request fails as `model_faulty` |
//! | `stall_ms` | after how long a reader that does not read is given up; default 60000 |

mod answer;
mod runtime;
mod script;

#[cfg(test)]
mod tests;

use std::path::Path;

use airunner_core::Fault;
use airunner_core::model::{LoadProgress, ModelKind, PackageFormat};

use crate::package::PackageSummary;
use crate::{LlmRuntime, LoadOptions};
use script::{Place, Script};

const FILE: &str = "fake-model.json";

/// `None` if the package is not fake.
pub(crate) fn inspect(directory: &Path) -> Result<Option<PackageSummary>, Fault> {
    let Some((files, script)) = Script::read(directory)? else {
        return Ok(None);
    };
    script.fail_at("inspect")?;
    let listed = files.list()?;
    Ok(Some(PackageSummary {
        format: PackageFormat::Bare,
        kind: ModelKind::Llm,
        architecture: script.architecture,
        context_length: Some(script.context_length),
        variants: vec![FILE.to_owned()],
        chat_template: script.chat_template,
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
    let Some((_, script)) = Script::read(&options.directory)? else {
        return Ok(None);
    };
    runtime::load(script, options, progress).map(Some)
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
