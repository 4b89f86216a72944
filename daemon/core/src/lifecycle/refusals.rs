//! What callers are told when they do not get the model.

use super::state::Waiter;
use super::step::Effect;
use crate::breaker::CrashBreaker;
use crate::error::{ErrorKind, Fault};

pub(super) fn refuse_all<'a>(waiting: &'a [Waiter], fault: &'a Fault) -> impl Iterator<Item = Effect> + 'a {
    waiting.iter().map(|waiter| Effect::Refuse {
        request: waiter.request,
        fault: fault.clone(),
    })
}

pub(super) fn shutting_down() -> Fault {
    Fault::new(
        ErrorKind::ShuttingDown,
        "the daemon is shutting down: try again once it runs",
    )
}

pub(super) fn unloaded_meanwhile() -> Fault {
    Fault::new(
        ErrorKind::Cancelled,
        "the model was unloaded on request before the answer was complete",
    )
}

pub(super) fn circuit_open(wait: std::time::Duration) -> Fault {
    let seconds = wait.as_secs().max(1);
    Fault::new(
        ErrorKind::CircuitOpen,
        format!(
            "the model crashed {} times within a minute: it can be tried again in {seconds} s; \
             \"airunner logs\" shows what its worker said",
            CrashBreaker::LIMIT
        ),
    )
    .retry_after(wait)
}
