//! What a person sees of the tasks: one line per step on standard error.

use std::io::Write;
use std::time::{Duration, Instant};

/// A step begins.
pub(crate) fn step(text: &str) {
    line(&format!("==> {text}"));
}

/// A remark within a step.
pub(crate) fn note(text: &str) {
    line(&format!("    {text}"));
}

/// The task ends without success.
pub(crate) fn failure(text: &str) {
    line(&format!("xtask: {text}"));
}

/// What a script reads: a line on standard output.
pub(crate) fn result(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// Seconds with one digit: `12.3 s`.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Runs `work` as a named stage and says how long it took.
pub(crate) fn timed<T>(name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    let result = work();
    let word = if result.is_ok() { "done" } else { "failed" };
    step(&format!("{name}: {word} after {}", seconds(started.elapsed())));
    result
}

fn line(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_hands_its_result_on() {
        assert_eq!(timed("stage", || Ok(7)).unwrap(), 7);
        assert!(timed("stage", || anyhow::bail!("no") as anyhow::Result<()>).is_err());
        assert_eq!(seconds(Duration::from_millis(1250)), "1.2 s");
    }
}
