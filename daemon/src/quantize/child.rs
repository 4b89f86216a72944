//! The body of the process that quantizes one model.

use std::io::Write as _;
use std::sync::Mutex;

use airunner_core::quantize::{QuantizeLevel, QuantizeReport, QuantizeStage};
use airunner_core::{ErrorKind, Fault};
use airunner_platform::{child, limits, parent};
use airunner_runtimes::quantize::{CompareOptions, Threads, Watcher, compare, quantize};

use super::line::Line;
use super::options::QuantizeArguments;
use crate::config::LogLevel;
use crate::logging;

/// Smaller steps are not told.
const STEP: f64 = 0.002;
/// The part that quantizing takes of everything, where models are compared in the end.
const QUANTIZING: f64 = 0.6;

/// Makes the package, then ends. Everything is said on standard output.
pub fn run(arguments: QuantizeArguments) -> Result<(), Fault> {
    let level = LogLevel::ALL
        .into_iter()
        .find(|level| level.as_str() == arguments.log_level);
    let log = logging::start_in_worker(level.unwrap_or(LogLevel::Info));
    let log = log.map_err(|error| Fault::internal(format!("cannot start the log: {error}")))?;
    let outcome = restrict(&arguments).and_then(|()| make(&arguments));
    match &outcome {
        Ok(report) => say(&Line::Report(report.clone().into())),
        Err(fault) => say(&Line::fault(fault)),
    }
    drop(log);
    outcome.map(drop)
}

fn restrict(arguments: &QuantizeArguments) -> Result<(), Fault> {
    let failed = |error: std::io::Error| Fault::internal(format!("cannot prepare the process: {error}"));
    limits::apply(&arguments.limits()).map_err(failed)?;
    parent::die_with_parent().map_err(failed)?;
    // Native code that compares cannot be asked to end.
    parent::when_standard_input_ends(|| child::end_at_once()).map_err(failed)?;
    child::volunteer_when_memory_runs_out();
    child::yield_to_others();
    Ok(())
}

fn make(arguments: &QuantizeArguments) -> Result<QuantizeReport, Fault> {
    let level = QuantizeLevel::parse(&arguments.level)
        .ok_or_else(|| Fault::invalid(format!("{} is not a level", arguments.level)))?;
    let compared = arguments
        .onnxruntime_library
        .as_ref()
        .filter(|_| arguments.compares);
    let share = if compared.is_some() { QUANTIZING } else { 1.0 };
    let quantizing = Told::new(QuantizeStage::Quantizing, 0.0, share);
    let parallel = Threads(arguments.threads);
    let mut report = quantize(
        &arguments.directory,
        level,
        &arguments.out,
        &quantizing,
        &parallel,
    )?;
    let Some(library) = compared else {
        return Ok(report);
    };
    let comparing = Told::new(QuantizeStage::Comparing, share, 1.0 - share);
    let text = arguments.text.as_ref().map(std::fs::read_to_string).transpose();
    let text =
        text.map_err(|error| Fault::internal(format!("cannot read the text to compare on: {error}")))?;
    let options = CompareOptions {
        onnxruntime_library: library.clone(),
        threads: arguments.threads,
        text,
    };
    match compare(&arguments.directory, &arguments.out, &options, &comparing) {
        Ok(compared) => {
            report.comparison = Some(compared.comparison);
            if compared.is_cut {
                let tokens = compared.comparison.tokens;
                let cut = format!(
                    "the text is longer than what is compared on: {tokens} tokens of its beginning were used"
                );
                report.warnings.push(cut);
            }
        }
        Err(error) => {
            let fault = Fault::from(error);
            // The text is the caller's to mend; the package is sound without.
            if fault.kind == ErrorKind::InvalidArgument {
                return Err(fault);
            }
            report
                .warnings
                .push(format!("the models were not compared: {}", fault.message));
        }
    }
    Ok(report)
}

/// Whoever does not listen any more ends the process.
fn say(line: &Line) {
    let Ok(mut text) = serde_json::to_string(line) else {
        return;
    };
    text.push('\n');
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Tells how far one stage is.
struct Told {
    stage: QuantizeStage,
    begin: f64,
    share: f64,
    last: Mutex<f64>,
}

impl Told {
    fn new(stage: QuantizeStage, begin: f64, share: f64) -> Self {
        say(&Line::progress(stage, begin));
        Self {
            stage,
            begin,
            share,
            last: Mutex::new(begin),
        }
    }
}

impl Watcher for Told {
    fn progress(&self, fraction: f64) {
        let now = self.begin + self.share * fraction;
        let Ok(mut last) = self.last.lock() else { return };
        if now - *last >= STEP {
            *last = now;
            say(&Line::progress(self.stage, now));
        }
    }

    /// Who wants it to end ends the process.
    fn is_cancelled(&self) -> bool {
        false
    }
}
