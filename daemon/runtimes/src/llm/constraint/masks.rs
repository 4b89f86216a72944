//! Threads that compute which tokens may come next while the model runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use llguidance::api::StopReason;
use llguidance::{CancellationHandle, Matcher};
use toktrie::SimpleVob;

use super::error::ConstraintError;

/// At most so many masks are computed at once.
const THREADS: usize = 4;
/// Masks that may wait; more are computed by whoever asks.
const WAITING: usize = 256;
/// llguidance counts its own work and gives up long before; this is for a machine that stands still.
const LIMIT: Duration = Duration::from_secs(20);

/// The handle; the threads end with the last.
#[derive(Clone)]
pub(super) struct Masks(SyncSender<Job>);

struct Job {
    matcher: Box<Matcher>,
    done: SyncSender<Computed>,
}

type Computed = (Box<Matcher>, Result<SimpleVob, ConstraintError>);

/// A mask on its way.
pub(super) struct Pending {
    done: Receiver<Computed>,
    cancellation: Option<CancellationHandle>,
}

impl Masks {
    pub(super) fn start() -> std::io::Result<Self> {
        let (sender, jobs) = sync_channel::<Job>(WAITING);
        let jobs = Arc::new(Mutex::new(jobs));
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..count.min(THREADS) {
            let jobs = Arc::clone(&jobs);
            std::thread::Builder::new()
                .name("llm-format".to_owned())
                .spawn(move || {
                    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    while let Ok(job) = next() {
                        job.run();
                    }
                })?;
        }
        Ok(Self(sender))
    }

    /// Begins with the mask of the matcher's next token.
    pub(super) fn compute(&self, matcher: Box<Matcher>) -> Pending {
        let cancellation = matcher.cancellation_handle();
        let (done, receiver) = sync_channel(1);
        let job = Job { matcher, done };
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = self.0.try_send(job) {
            job.run();
        }
        Pending {
            done: receiver,
            cancellation,
        }
    }
}

impl Job {
    fn run(mut self) {
        let computed = catch_unwind(AssertUnwindSafe(|| self.matcher.compute_mask_or_eos()));
        let mask = match computed {
            Ok(Ok(mask)) => Ok(mask),
            Ok(Err(error)) => Err(refusal(&error.to_string(), &self.matcher)),
            Err(_) => Err(ConstraintError::TooComplex("it cannot be followed".to_owned())),
        };
        // Whoever asked may have left.
        drop(self.done.try_send((self.matcher, mask)));
    }
}

/// Why there is no mask: too much work, or no token to go on with.
fn refusal(message: &str, matcher: &Matcher) -> ConstraintError {
    let stop = matcher.stop_reason();
    let is_stuck = stop == StopReason::NoExtension || stop == StopReason::NoExtensionBias;
    if is_stuck || message.contains("NoExtension") {
        ConstraintError::NoToken
    } else {
        ConstraintError::TooComplex(first_line(message))
    }
}

impl Pending {
    pub(super) fn wait(mut self) -> Result<(Box<Matcher>, SimpleVob), ConstraintError> {
        match self.done.recv_timeout(LIMIT) {
            Ok((matcher, mask)) => {
                // Cancelling is for good, and the matcher goes on.
                self.cancellation = None;
                mask.map(|mask| (matcher, mask))
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(ConstraintError::TooSlow { limit: LIMIT })
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(cancellation) = &self.cancellation {
            cancellation.cancel();
        }
    }
}

/// The rest of such messages is a dump of the parser's state.
pub(super) fn first_line(message: &str) -> String {
    message
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(300)
        .collect()
}
