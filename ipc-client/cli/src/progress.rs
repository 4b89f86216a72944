//! Progress on standard error, for whatever takes longer than a moment.

use std::time::Duration;

use airunner_core::generate::GenerateEvent;
use airunner_core::model::{ImportProgress, LoadProgress, LoadStage, Queued};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::output::Output;
use crate::units;

/// Shorter waits are not worth a flicker.
const DELAY: Duration = Duration::from_millis(400);
const TICK: Duration = Duration::from_millis(100);
const STEPS: u64 = 1000;

/// A bar that appears if it is still there after a moment, and is wiped away when dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    appearing: Option<JoinHandle<()>>,
}

impl Progress {
    /// Without a terminal there is nothing to see.
    pub(crate) fn new(output: &Output, what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {percent:>3}%");
        bar.set_style(
            style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        );
        bar.set_message(what.to_owned());
        let visible = bar.clone();
        let appearing = output.shows_progress().then(|| {
            tokio::spawn(async move {
                tokio::time::sleep(DELAY).await;
                visible.set_draw_target(ProgressDrawTarget::stderr());
                visible.enable_steady_tick(TICK);
            })
        });
        Self { bar, appearing }
    }

    /// For a wait of unknown length.
    pub(crate) fn spinner(output: &Output, what: &str) -> Self {
        let progress = Self::new(output, what);
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
        progress
            .bar
            .set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        progress
    }

    pub(crate) fn load(&self, progress: &LoadProgress) {
        self.show(stage_name(progress.stage), f64::from(progress.fraction));
    }

    /// Waiting for a turn.
    pub(crate) fn queued(&self, queued: &Queued) {
        self.show(&units::waiting(queued), 0.0);
    }

    pub(crate) fn import(&self, progress: &ImportProgress) {
        let (done, total) = (progress.done_bytes, progress.total_bytes);
        let fraction = if total == 0 {
            0.0
        } else {
            done as f64 / total as f64
        };
        let what = format!(
            "{} ({} of {})",
            progress.stage.as_str(),
            units::size(done),
            units::size(total)
        );
        self.show(&what, fraction);
    }

    /// What happens before the first piece of an answer.
    pub(crate) fn answer(&self, event: &GenerateEvent) {
        match event {
            GenerateEvent::Queued(queued) => self.queued(queued),
            GenerateEvent::Loading(progress) => self.load(progress),
            GenerateEvent::Prompt {
                processed_tokens,
                total_tokens,
                ..
            } => {
                let fraction = f64::from(*processed_tokens) / f64::from((*total_tokens).max(1));
                self.show(&format!("reading {total_tokens} tokens"), fraction);
            }
            GenerateEvent::Text(_)
            | GenerateEvent::Reasoning(_)
            | GenerateEvent::ToolCall(_)
            | GenerateEvent::Done(_) => {}
        }
    }

    fn show(&self, what: &str, fraction: f64) {
        self.bar
            .set_message(crate::control_characters::strip(what).into_owned());
        self.bar
            .set_position((fraction.clamp(0.0, 1.0) * STEPS as f64) as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(appearing) = self.appearing.take() {
            appearing.abort();
        }
        self.bar.finish_and_clear();
    }
}

const fn stage_name(stage: LoadStage) -> &'static str {
    match stage {
        LoadStage::Starting => "starting a worker",
        LoadStage::Checking => "checking the package",
        LoadStage::Tokenizer => "reading the tokenizer",
        LoadStage::Weights => "loading the weights",
        LoadStage::WarmingUp => "warming up",
        LoadStage::Ready => "ready",
    }
}
