//! What a kind of job is.

use std::pin::Pin;

use airunner_core::Fault;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What comes of a job.
pub type Outcome = Result<Value, Fault>;

/// Work under way.
pub type Going = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One kind of work.
pub trait Work: Send + Sync + 'static {
    /// Its stable name.
    fn kind(&self) -> &'static str;

    /// How many run at once; the others wait.
    fn at_once(&self) -> usize {
        1
    }

    /// Whether it can go on after the daemon was ended in the middle.
    fn resumes(&self) -> bool {
        false
    }

    /// Does it. `noted` is what an earlier run noted before the daemon was ended. It ends soon
    /// after it was cancelled; what it returns then is not looked at.
    fn run(
        &self,
        request: Value,
        noted: Option<Value>,
        progress: Progress,
        cancelled: CancellationToken,
    ) -> Going;
}

/// How far work is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) fraction: f64,
    pub(super) noted: Option<Value>,
}

/// Where work tells how far it is.
#[derive(Clone, Debug)]
pub struct Progress(pub(super) watch::Sender<Told>);

impl Progress {
    /// 0 to 1; it never goes back.
    pub fn reached(&self, fraction: f64) {
        self.0.send_if_modified(|told| {
            let further = fraction.is_finite() && fraction > told.fraction;
            if further {
                told.fraction = fraction.min(1.0);
            }
            further
        });
    }

    /// Something to be known before the end, also after a restart; replaces what was noted before.
    pub fn note(&self, value: Value) {
        self.0.send_modify(|told| told.noted = Some(value));
    }
}
