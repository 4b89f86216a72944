//! Progress on standard error, for whatever takes longer than a moment.

use std::time::Duration;

use airunner_core::download::{Download, DownloadState};
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
        bar.set_style(bar_style());
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
        progress.bar.set_style(spinner_style());
        progress
    }

    pub(crate) fn load(&self, progress: &LoadProgress) {
        self.show(stage_name(progress.stage), f64::from(progress.fraction));
    }

    /// One of several known steps begins.
    pub(crate) fn step(&self, what: &str, done: f64) {
        self.show(what, done);
    }

    /// Waiting for a turn.
    pub(crate) fn queued(&self, queued: &Queued) {
        self.bar.set_style(spinner_style());
        self.say(&units::waiting(queued));
    }

    pub(crate) fn import(&self, progress: &ImportProgress) {
        self.bytes(
            progress.stage.as_str(),
            progress.done_bytes,
            progress.total_bytes,
            "",
        );
    }

    /// Reading the files of a model.
    pub(crate) fn file(&self, file: &str, done_bytes: u64, total_bytes: u64) {
        self.bytes(file, done_bytes, total_bytes, "");
    }

    pub(crate) fn download(&self, download: &Download) {
        let state = match download.state {
            DownloadState::Queued => "waiting for other downloads",
            DownloadState::Resolving => "asking the hub",
            DownloadState::Running => "downloading",
            DownloadState::Verifying => "checking",
            DownloadState::Publishing => "installing",
            DownloadState::Paused => "paused",
            DownloadState::Waiting => "waiting to try again",
            DownloadState::Failed => "failed",
            DownloadState::Cancelled => "cancelled",
            DownloadState::Done => "done",
        };
        let mut rest = String::new();
        if let Some(speed) = units::download_speed(download) {
            rest += &format!(", {speed}");
        }
        if let Some(time) = units::download_remaining(download) {
            rest += &format!(", {time} to go");
        }
        if let (DownloadState::Waiting, Some(fault)) = (download.state, &download.fault) {
            rest += &format!(": {}", fault.message);
        }
        self.bytes(state, download.done_bytes, download.total_bytes, &rest);
    }

    fn bytes(&self, what: &str, done: u64, total: u64, rest: &str) {
        if total == 0 {
            return self.show(&format!("{what}{rest}"), 0.0);
        }
        let (done_text, total_text) = (units::size(done), units::size(total));
        let what = format!("{what} {done_text} of {total_text}{rest}");
        self.show_in(wide_bar_style(), &what, done as f64 / total as f64);
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
        self.show_in(bar_style(), what, fraction);
    }

    fn show_in(&self, style: ProgressStyle, what: &str, fraction: f64) {
        self.bar.set_style(style);
        self.say(what);
        self.bar
            .set_position((fraction.clamp(0.0, 1.0) * STEPS as f64) as u64);
    }

    fn say(&self, what: &str) {
        self.bar
            .set_message(crate::control_characters::strip(what).into_owned());
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {percent:>3}%")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// Beside long texts, with what is left of the line.
fn wide_bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} [{wide_bar}] {percent:>3}%")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
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
