//! One download as its owner knows it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use airunner_core::Fault;
use airunner_core::download::{Download, DownloadState};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fetch::Progress;
use super::resolve::Asked;

/// Over how long the speed is measured.
const WINDOW: Duration = Duration::from_secs(3);

/// What is to become of a run that was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    Pause,
    Cancel,
}

pub(super) type Reply = oneshot::Sender<Result<Download, Fault>>;

pub(super) struct Job {
    pub(super) asked: Asked,
    pub(super) progress: Arc<Progress>,
    /// Set while it runs.
    pub(super) cancel: Option<CancellationToken>,
    pub(super) intent: Option<Intent>,
    /// Who waits for the run to stop.
    pub(super) replies: Vec<Reply>,
    picture: watch::Sender<Download>,
    file: String,
    speed: Speed,
}

impl Job {
    /// Of which so many bytes are here.
    pub(super) fn new(asked: Asked, here: u64) -> Self {
        let (picture, _) = watch::channel(Download {
            id: asked.record.id,
            name: asked.record.name.clone(),
            repository: asked.record.repository.clone(),
            revision: asked.record.revision.clone(),
            level: asked.record.level,
            state: asked.record.state,
            done_bytes: 0,
            total_bytes: asked.record.total_bytes,
            bytes_per_second: 0,
            file: String::new(),
            fault: asked.record.fault.clone(),
            started_at: asked.record.started_at,
        });
        let job = Self {
            asked,
            progress: Arc::default(),
            cancel: None,
            intent: None,
            replies: Vec::new(),
            picture,
            file: String::new(),
            speed: Speed::default(),
        };
        job.count(here);
        job
    }

    pub(super) fn state(&self) -> DownloadState {
        self.asked.record.state
    }

    pub(super) fn picture(&self) -> Download {
        self.picture.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Download> {
        self.picture.subscribe()
    }

    /// Changes the state in the picture too; true if it is another one.
    pub(super) fn enter(&mut self, state: DownloadState, fault: Option<Fault>) -> bool {
        let record = &mut self.asked.record;
        let changed = record.state != state || record.fault != fault;
        if record.state != state {
            tracing::info!(
                download = record.id.0,
                model = %record.name,
                from = record.state.as_str(),
                to = state.as_str(),
                reason = fault.as_ref().map(|fault| fault.kind.reason()),
                "download"
            );
        }
        record.state = state;
        record.fault = fault;
        self.draw();
        changed
    }

    pub(super) fn set_file(&mut self, file: String) {
        self.file = file;
    }

    /// Looks at how far it is; true if that is news.
    pub(super) fn measure(&mut self, now: Instant) -> bool {
        self.speed.add(now, self.progress.done());
        self.draw()
    }

    /// So many bytes are here, whoever fetched them; true if that is news. Not while it runs.
    pub(super) fn count(&self, here: u64) -> bool {
        self.progress.set(here);
        self.draw()
    }

    fn draw(&self) -> bool {
        let record = &self.asked.record;
        let moving = matches!(record.state, DownloadState::Running | DownloadState::Verifying);
        let whole = matches!(record.state, DownloadState::Done | DownloadState::Publishing);
        let done = if whole {
            record.total_bytes
        } else {
            self.progress.done().min(record.total_bytes)
        };
        self.picture.send_if_modified(|picture| {
            let new = Download {
                revision: record.commit.clone().unwrap_or_else(|| record.revision.clone()),
                level: record.level,
                state: record.state,
                done_bytes: done,
                total_bytes: record.total_bytes,
                bytes_per_second: if moving { self.speed.bytes_per_second() } else { 0 },
                file: if moving { self.file.clone() } else { String::new() },
                fault: record.fault.clone(),
                ..picture.clone()
            };
            let changed = new != *picture;
            *picture = new;
            changed
        })
    }
}

/// Bytes per second over the last while.
#[derive(Debug, Default)]
struct Speed {
    samples: VecDeque<(Instant, u64)>,
}

impl Speed {
    fn add(&mut self, now: Instant, bytes: u64) {
        if self.samples.back().is_some_and(|(_, last)| bytes < *last) {
            // It began anew.
            self.samples.clear();
        }
        self.samples.push_back((now, bytes));
        while self.samples.len() > 2 && self.samples[1].0 + WINDOW <= now {
            self.samples.pop_front();
        }
    }

    fn bytes_per_second(&self) -> u64 {
        let (Some((begin, first)), Some((end, last))) = (self.samples.front(), self.samples.back()) else {
            return 0;
        };
        let milliseconds = u64::try_from((*end - *begin).as_millis()).unwrap_or(u64::MAX);
        ((last - first) * 1000).checked_div(milliseconds).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_that_of_the_last_seconds() {
        let begin = Instant::now();
        let mut speed = Speed::default();
        assert_eq!(speed.bytes_per_second(), 0);
        for tick in 0..40 {
            speed.add(begin + Duration::from_millis(250 * tick), tick * 1000);
        }
        assert_eq!(speed.bytes_per_second(), 4000);
        for tick in 40..60 {
            speed.add(begin + Duration::from_millis(250 * tick), 39_000);
        }
        assert_eq!(speed.bytes_per_second(), 0, "it stands still");
        speed.add(begin + Duration::from_secs(20), 5);
        assert_eq!(speed.bytes_per_second(), 0, "it began anew");
    }
}
