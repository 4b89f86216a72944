//! Readable traces: what happens, and what the machine makes of it.

use std::fmt::Write as _;
use std::time::Duration;

use super::{
    AttemptId, Effect, Event, IllegalTransition, Limits, Machine, Purpose, RequestId, Stop, UnloadReason,
};
use crate::error::{ErrorKind, Fault};
use crate::keep_alive::KeepAlive;
use crate::name::ModelName;
use crate::time::Moment;

struct Trace {
    machine: Machine,
    now: Moment,
    text: String,
}

impl Trace {
    fn new() -> Self {
        let limits = Limits {
            keep_alive: KeepAlive::After(Duration::from_secs(300)),
        };
        Self {
            machine: Machine::new(limits),
            now: Moment::default(),
            text: String::new(),
        }
    }

    fn at(mut self, seconds: u64) -> Self {
        self.now = Moment::since_start(Duration::from_secs(seconds));
        self
    }

    fn then(mut self, event: Event) -> Self {
        let effects = self.machine.step(event, self.now).unwrap();
        for effect in effects {
            let line = match effect {
                Effect::Announce { from, to, cause, .. } => format!("{from} -> {to} ({cause})"),
                Effect::StartWorker { attempt } => format!("start worker {attempt}"),
                Effect::StopWorker {
                    attempt,
                    stop: Stop::Graceful,
                } => format!("stop worker {attempt}"),
                Effect::StopWorker {
                    attempt,
                    stop: Stop::Kill,
                } => format!("kill worker {attempt}"),
                Effect::Grant { request, attempt } => format!("grant {} on {attempt}", request.0),
                Effect::Requeue { request } => format!("requeue {}", request.0),
                Effect::Refuse { request, fault } => format!("refuse {}: {}", request.0, fault.kind),
                Effect::Cancel { request, fault } => format!("cancel {}: {}", request.0, fault.kind),
                Effect::WakeAt(None) => continue,
                Effect::WakeAt(Some(at)) => format!("wake at {} s", at.elapsed_since_start().as_secs()),
            };
            writeln!(self.text, "{line}").unwrap();
        }
        self
    }

    fn wants(self, request: u64) -> Self {
        self.then(acquire(request, Purpose::Use, None))
    }

    fn ends(self, request: u64) -> Self {
        self.then(Event::Release {
            request: RequestId(request),
        })
    }

    fn loaded(self, attempt: u64) -> Self {
        self.then(Event::LoadSucceeded {
            attempt: AttemptId(attempt),
        })
    }

    fn dies(self, attempt: u64) -> Self {
        self.then(Event::WorkerExited {
            attempt: AttemptId(attempt),
            fault: crash(),
        })
    }

    fn stopped(self, attempt: u64) -> Self {
        self.then(Event::Stopped {
            attempt: AttemptId(attempt),
        })
    }

    #[track_caller]
    fn reads(self, expected: &[&str]) {
        assert_eq!(self.text.lines().collect::<Vec<_>>(), expected);
    }
}

fn acquire(request: u64, purpose: Purpose, keep_alive: Option<KeepAlive>) -> Event {
    Event::Acquire {
        request: RequestId(request),
        purpose,
        keep_alive,
    }
}

fn crash() -> Fault {
    Fault::new(ErrorKind::WorkerCrashed, "the worker died")
}

#[test]
fn a_life() {
    Trace::new()
        .wants(1)
        .at(2)
        .loaded(1)
        .at(10)
        .ends(1)
        .at(309)
        .then(Event::Tick)
        .at(310)
        .then(Event::Tick)
        .stopped(1)
        .reads(&[
            "UNLOADED -> LOADING (request)",
            "start worker 1",
            "LOADING -> BUSY (loaded)",
            "grant 1 on 1",
            "BUSY -> LOADED (request_ended)",
            "wake at 310 s",
            "wake at 310 s",
            "LOADED -> UNLOADING (idle_timeout)",
            "stop worker 1",
            "UNLOADING -> UNLOADED (idle_timeout)",
        ]);
}

#[test]
fn one_load_serves_all_who_wait() {
    Trace::new().wants(1).wants(2).wants(3).ends(2).loaded(1).reads(&[
        "UNLOADED -> LOADING (request)",
        "start worker 1",
        "LOADING -> LOADING (request)",
        "LOADING -> LOADING (request)",
        "LOADING -> LOADING (request_ended)",
        "LOADING -> BUSY (loaded)",
        "grant 1 on 1",
        "grant 3 on 1",
    ]);
}

#[test]
fn an_explicit_load_leaves_the_model_free() {
    Trace::new()
        .then(acquire(1, Purpose::Load, Some(KeepAlive::Forever)))
        .loaded(1)
        .wants(2)
        .ends(2)
        .then(Event::Tick)
        .reads(&[
            "UNLOADED -> LOADING (request)",
            "start worker 1",
            "grant 1 on 1",
            "LOADING -> LOADED (loaded)",
            "LOADED -> BUSY (request)",
            "grant 2 on 1",
            "BUSY -> LOADED (request_ended)",
        ]);
}

#[test]
fn keep_alive_zero_unloads_at_once() {
    Trace::new()
        .then(acquire(1, Purpose::Use, Some(KeepAlive::After(Duration::ZERO))))
        .loaded(1)
        .ends(1)
        .stopped(1)
        .reads(&[
            "UNLOADED -> LOADING (request)",
            "start worker 1",
            "LOADING -> BUSY (loaded)",
            "grant 1 on 1",
            "BUSY -> LOADED (request_ended)",
            "LOADED -> UNLOADING (idle_timeout)",
            "stop worker 1",
            "UNLOADING -> UNLOADED (idle_timeout)",
        ]);
}

#[test]
fn a_load_nobody_waits_for_is_cancelled() {
    Trace::new().wants(1).ends(1).loaded(1).stopped(1).reads(&[
        "UNLOADED -> LOADING (request)",
        "start worker 1",
        "LOADING -> UNLOADING (load_cancelled)",
        "kill worker 1",
        "UNLOADING -> UNLOADED (load_cancelled)",
    ]);
}

#[test]
fn nobody_is_let_in_while_it_leaves() {
    let leaving = Trace::new()
        .wants(1)
        .loaded(1)
        .then(Event::Unload { force: false });
    assert!(!leaving.machine.state().admits());
    let unloading = leaving.ends(1);
    assert!(!unloading.machine.state().admits());
    let unloaded = unloading.stopped(1);
    assert!(unloaded.machine.state().admits());
    unloaded.wants(2).loaded(2).reads(&[
        "UNLOADED -> LOADING (request)",
        "start worker 1",
        "LOADING -> BUSY (loaded)",
        "grant 1 on 1",
        "BUSY -> UNLOADING (requested)",
        "stop worker 1",
        "UNLOADING -> UNLOADED (requested)",
        "UNLOADED -> LOADING (request)",
        "start worker 2",
        "LOADING -> BUSY (loaded)",
        "grant 2 on 2",
    ]);
}

#[test]
fn what_is_in_use_is_not_evicted_and_what_is_idle_is() {
    let reason = UnloadReason::EvictedFor(ModelName::new("other").unwrap());
    Trace::new()
        .wants(1)
        .then(Event::Evict {
            reason: reason.clone(),
        })
        .loaded(1)
        .then(Event::Evict {
            reason: reason.clone(),
        })
        .ends(1)
        .then(Event::Evict { reason })
        .stopped(1)
        .reads(&[
            "UNLOADED -> LOADING (request)",
            "start worker 1",
            "LOADING -> BUSY (loaded)",
            "grant 1 on 1",
            "BUSY -> LOADED (request_ended)",
            "wake at 300 s",
            "LOADED -> UNLOADING (evicted_for:other)",
            "kill worker 1",
            "UNLOADING -> UNLOADED (evicted_for:other)",
        ]);
}

#[test]
fn a_load_that_is_tried_again_sends_its_callers_back_into_the_queue() {
    Trace::new()
        .wants(1)
        .wants(2)
        .then(Event::LoadFailed {
            attempt: AttemptId(1),
            fault: Fault::new(ErrorKind::OutOfMemory, "too little"),
            crashed: false,
            retry: true,
        })
        .reads(&[
            "UNLOADED -> LOADING (request)",
            "start worker 1",
            "LOADING -> LOADING (request)",
            "LOADING -> UNLOADED (load_failed)",
            "requeue 1",
            "requeue 2",
        ]);
}

#[test]
fn a_forced_unload_cancels_what_runs() {
    Trace::new()
        .wants(1)
        .loaded(1)
        .then(Event::Unload { force: true })
        .ends(1)
        .stopped(1)
        .reads(&[
            "UNLOADED -> LOADING (request)",
            "start worker 1",
            "LOADING -> BUSY (loaded)",
            "grant 1 on 1",
            "cancel 1: cancelled",
            "BUSY -> UNLOADING (requested)",
            "kill worker 1",
            "UNLOADING -> UNLOADED (requested)",
        ]);
}

fn pause(force: bool) -> Event {
    Event::Pause {
        force,
        fault: Fault::new(ErrorKind::Paused, "paused"),
    }
}

#[test]
fn a_pause_refuses_who_waits_and_lets_finish_who_is_answered() {
    Trace::new()
        .wants(1)
        .then(pause(false))
        .stopped(1)
        .wants(2)
        .loaded(2)
        .then(pause(false))
        .ends(2)
        .stopped(2)
        .reads(&[
            "UNLOADED -> LOADING (request)",
            "start worker 1",
            "LOADING -> UNLOADING (paused)",
            "kill worker 1",
            "refuse 1: paused",
            "UNLOADING -> UNLOADED (paused)",
            "UNLOADED -> LOADING (request)",
            "start worker 2",
            "LOADING -> BUSY (loaded)",
            "grant 2 on 2",
            "BUSY -> UNLOADING (paused)",
            "stop worker 2",
            "UNLOADING -> UNLOADED (paused)",
        ]);
}

#[test]
fn a_forced_pause_cancels_and_one_that_is_over_before_the_answer_unloads_nothing() {
    let busy = || Trace::new().wants(1).loaded(1);
    let forced = busy().then(pause(true)).stopped(1);
    forced.reads(&[
        "UNLOADED -> LOADING (request)",
        "start worker 1",
        "LOADING -> BUSY (loaded)",
        "grant 1 on 1",
        "cancel 1: paused",
        "BUSY -> UNLOADING (paused)",
        "kill worker 1",
        "UNLOADING -> UNLOADED (paused)",
    ]);
    let resumed = busy().then(pause(false)).then(Event::Resume);
    assert!(resumed.machine.state().admits());
    let unloading = busy()
        .then(Event::Unload { force: false })
        .then(pause(false))
        .then(Event::Resume);
    assert!(!unloading.machine.state().admits(), "somebody else wants it gone");
}

#[test]
fn three_crashes_within_a_minute_open_the_breaker() {
    Trace::new()
        .wants(1)
        .dies(1)
        .at(10)
        .wants(2)
        .loaded(2)
        .dies(2)
        .at(20)
        .wants(3)
        .dies(3)
        .at(21)
        .wants(4)
        .at(80)
        .wants(5)
        .reads(&[
            "UNLOADED -> LOADING (request)",
            "start worker 1",
            "LOADING -> UNLOADED (worker_crashed)",
            "refuse 1: worker_crashed",
            "UNLOADED -> LOADING (request)",
            "start worker 2",
            "LOADING -> BUSY (loaded)",
            "grant 2 on 2",
            "BUSY -> UNLOADED (worker_crashed)",
            "cancel 2: worker_crashed",
            "UNLOADED -> LOADING (request)",
            "start worker 3",
            "LOADING -> UNLOADED (worker_crashed)",
            "refuse 3: worker_crashed",
            "refuse 4: circuit_open",
            "UNLOADED -> LOADING (request)",
            "start worker 4",
        ]);
}

#[test]
fn shutdown_lets_requests_finish_and_refuses_new_ones() {
    Trace::new()
        .wants(1)
        .loaded(1)
        .then(Event::Shutdown)
        .wants(2)
        .ends(1)
        .stopped(1)
        .reads(&[
            "UNLOADED -> LOADING (request)",
            "start worker 1",
            "LOADING -> BUSY (loaded)",
            "grant 1 on 1",
            "refuse 2: shutting_down",
            "BUSY -> UNLOADING (shutdown)",
            "stop worker 1",
            "UNLOADING -> UNLOADED (shutdown)",
        ]);
}

#[test]
fn completions_of_an_earlier_worker_are_dropped() {
    Trace::new()
        .wants(1)
        .dies(1)
        .wants(2)
        .loaded(1)
        .stopped(1)
        .dies(1)
        .loaded(2)
        .reads(&[
            "UNLOADED -> LOADING (request)",
            "start worker 1",
            "LOADING -> UNLOADED (worker_crashed)",
            "refuse 1: worker_crashed",
            "UNLOADED -> LOADING (request)",
            "start worker 2",
            "LOADING -> BUSY (loaded)",
            "grant 2 on 2",
        ]);
}

#[test]
fn what_cannot_happen_is_an_error_and_changes_nothing() {
    let mut machine = Trace::new().wants(1).loaded(1).machine;
    let before = machine.state().clone();
    for event in [
        Event::LoadSucceeded {
            attempt: AttemptId(1),
        },
        Event::Stopped {
            attempt: AttemptId(1),
        },
        Event::LoadFailed {
            attempt: AttemptId(1),
            fault: crash(),
            crashed: false,
            retry: false,
        },
        acquire(1, Purpose::Use, None),
    ] {
        let result: Result<_, IllegalTransition> = machine.step(event, Moment::default());
        assert!(result.is_err());
        assert_eq!(*machine.state(), before);
    }
}
