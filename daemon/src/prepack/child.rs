//! The body of the process that makes one copy.

use std::io::Write as _;

use airunner_core::model::CacheType;
use airunner_core::{ErrorKind, Fault};
use airunner_platform::{child, limits, parent};
use airunner_runtimes::LoadOptions;
use airunner_runtimes::llm::prepack::prepack;

use super::options::PrepackArguments;
use crate::logging;

/// Makes the copy, then ends. What went wrong is said on standard output: the kind, a space, and
/// the message.
pub fn run(arguments: PrepackArguments) -> Result<(), Fault> {
    let log = logging::start_in_worker(arguments.log_level);
    let log = log.map_err(|error| Fault::internal(format!("cannot start the log: {error}")))?;
    let outcome = restrict(&arguments).and_then(|()| make(arguments));
    if let Err(fault) = &outcome {
        let line = format!("{} {}\n", fault.kind, fault.message.replace('\n', " "));
        drop(std::io::stdout().write_all(line.as_bytes()));
    }
    drop(log);
    outcome
}

fn restrict(arguments: &PrepackArguments) -> Result<(), Fault> {
    let failed = |error: std::io::Error| Fault::internal(format!("cannot prepare the process: {error}"));
    limits::apply(&arguments.limits).map_err(failed)?;
    parent::die_with_parent().map_err(failed)?;
    // Native code that packs weights cannot be asked to end.
    parent::when_standard_input_ends(|| child::end_at_once()).map_err(failed)?;
    child::volunteer_when_memory_runs_out();
    child::yield_to_others();
    Ok(())
}

fn make(arguments: PrepackArguments) -> Result<(), Fault> {
    let options = LoadOptions {
        directory: arguments.directory,
        onnxruntime_library: arguments.onnxruntime_library,
        threads: Some(arguments.threads),
        allow_spinning: false,
        context_length: None,
        parallel_requests: 1,
        queue_length: 1,
        cache_type: CacheType::Auto,
        cache_on_disk: None,
        prompt_chunk: 1,
        variant: Some(arguments.variant).filter(|variant| !variant.is_empty()),
        prepacked_directory: None,
        kernels: arguments.kernels,
    };
    match prepack(&options, &arguments.model, &arguments.cache) {
        Ok(copy) => {
            tracing::debug!(copy = %copy.display(), "the copy is made");
            Ok(())
        }
        // Whatever the libraries call it: the disk is why.
        Err(fault) if mentions_full_disk(&fault.message) => {
            Err(Fault::new(ErrorKind::DiskFull, fault.message))
        }
        Err(fault) => Err(fault),
    }
}

fn mentions_full_disk(message: &str) -> bool {
    message.contains("No space left") || message.contains("os error 28")
}
