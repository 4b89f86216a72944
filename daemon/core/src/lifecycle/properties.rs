//! Whatever happens in whatever order: one worker at a time, one answer to every caller.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{AttemptId, Effect, Event, Limits, Machine, Purpose, RequestId, State, UnloadReason};
use crate::error::{ErrorKind, Fault};
use crate::keep_alive::KeepAlive;
use crate::time::Moment;

/// What the world does next; indices choose among what is possible.
#[derive(Clone, Debug)]
enum Act {
    Acquire { load: bool, keep_alive: Option<u64> },
    Release(usize),
    Finish { attempt_back: u64, how: u8 },
    Tick,
    Unload(bool),
    Evict,
    Pause(bool),
    Resume,
    Shutdown,
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (any::<bool>(), proptest::option::of(0..40_u64))
            .prop_map(|(load, keep_alive)| Act::Acquire { load, keep_alive }),
        5 => any::<usize>().prop_map(Act::Release),
        6 => (0..2_u64, 0..4_u8).prop_map(|(attempt_back, how)| Act::Finish { attempt_back, how }),
        2 => Just(Act::Tick),
        1 => any::<bool>().prop_map(Act::Unload),
        1 => Just(Act::Evict),
        1 => any::<bool>().prop_map(Act::Pause),
        1 => Just(Act::Resume),
        1 => (0..50_u8).prop_map(|n| if n == 0 { Act::Shutdown } else { Act::Tick }),
        3 => (0..30_u64).prop_map(Act::Wait),
    ]
}

/// What the callers and the operating system know.
#[derive(Default)]
struct World {
    /// Asked, no answer yet.
    open: BTreeMap<RequestId, Purpose>,
    granted: BTreeSet<RequestId>,
    alive: Option<AttemptId>,
    stopping: bool,
    attempts: u64,
}

impl World {
    fn apply(&mut self, effects: Vec<Effect>) -> Result<(), TestCaseError> {
        for effect in effects {
            match effect {
                Effect::StartWorker { attempt } => {
                    prop_assert_eq!(self.alive, None, "a second worker beside the first");
                    prop_assert!(attempt.0 > self.attempts, "an attempt id used twice");
                    (self.alive, self.attempts, self.stopping) = (Some(attempt), attempt.0, false);
                }
                Effect::StopWorker { attempt, .. } => {
                    prop_assert_eq!(self.alive, Some(attempt));
                    prop_assert!(!self.stopping, "told to stop twice");
                    self.stopping = true;
                }
                Effect::Grant { request, attempt } => {
                    prop_assert_eq!(self.alive, Some(attempt), "granted on a worker that is not there");
                    let purpose = self.open.remove(&request);
                    prop_assert!(purpose.is_some(), "granted without asking");
                    if purpose == Some(Purpose::Use) {
                        self.granted.insert(request);
                    }
                }
                Effect::Refuse { request, .. } => {
                    prop_assert!(
                        self.open.remove(&request).is_some(),
                        "refused twice or after a grant"
                    );
                }
                Effect::Requeue { request } => {
                    prop_assert!(self.open.remove(&request).is_some(), "sent back who did not wait");
                }
                Effect::Cancel { request, .. } => {
                    prop_assert!(self.granted.remove(&request), "cancelled what was not active");
                }
                Effect::Announce { .. } | Effect::WakeAt(_) => {}
            }
        }
        Ok(())
    }

    fn agrees_with(&self, machine: &Machine) -> Result<(), TestCaseError> {
        prop_assert_eq!(machine.state().attempt(), self.alive);
        prop_assert_eq!(machine.state().active(), self.granted.len());
        let waiting: BTreeSet<RequestId> = machine.state().waiting().iter().map(|w| w.request).collect();
        prop_assert_eq!(waiting, self.open.keys().copied().collect::<BTreeSet<_>>());
        match machine.state() {
            State::Loading { waiting, .. } => prop_assert!(!waiting.is_empty()),
            State::Busy { active, .. } => prop_assert!(!active.is_empty()),
            State::Unloading { .. } => prop_assert!(self.stopping),
            State::Unloaded { .. } | State::Loaded { .. } => {}
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn one_worker_at_a_time_and_one_answer_to_every_caller(acts in proptest::collection::vec(act(), 1..120)) {
        let limits = Limits { keep_alive: KeepAlive::After(Duration::from_secs(20)) };
        let mut machine = Machine::new(limits);
        let mut world = World::default();
        let mut now = Moment::default();
        let mut requests = 0;
        for act in acts {
            let event = match act {
                Act::Acquire { load, keep_alive } => {
                    if !machine.state().admits() { continue }
                    requests += 1;
                    let purpose = if load { Purpose::Load } else { Purpose::Use };
                    world.open.insert(RequestId(requests), purpose);
                    let keep_alive = keep_alive.map(|s| KeepAlive::After(Duration::from_secs(s)));
                    Event::Acquire { request: RequestId(requests), purpose, keep_alive }
                }
                Act::Release(index) => {
                    let known: Vec<RequestId> = world.open.keys().chain(&world.granted).copied().collect();
                    let Some(&request) = known.get(index % known.len().max(1)) else { continue };
                    world.open.remove(&request);
                    world.granted.remove(&request);
                    Event::Release { request }
                }
                Act::Finish { attempt_back, how } => {
                    let attempt = AttemptId(world.attempts.saturating_sub(attempt_back));
                    let current = world.alive == Some(attempt);
                    let loading = matches!(machine.state(), State::Loading { .. });
                    let fault = Fault::new(ErrorKind::WorkerCrashed, "gone");
                    let (event, dies) = match how {
                        0 if current && !loading => continue,
                        0 => (Event::LoadSucceeded { attempt }, false),
                        1 if current && !(loading || world.stopping) => continue,
                        1 => (Event::LoadFailed { attempt, fault, crashed: false, retry: attempt_back == 0 }, true),
                        2 => (Event::WorkerExited { attempt, fault }, true),
                        _ if current && !world.stopping => continue,
                        _ => (Event::Stopped { attempt }, true),
                    };
                    if current && dies {
                        world.alive = None;
                        if !world.stopping && how == 1 { world.stopping = true; }
                    }
                    event
                }
                Act::Tick => Event::Tick,
                Act::Unload(force) => Event::Unload { force },
                Act::Evict => Event::Evict { reason: UnloadReason::MemoryPressure },
                Act::Pause(force) => Event::Pause { force, fault: Fault::new(ErrorKind::Paused, "paused") },
                Act::Resume => Event::Resume,
                Act::Shutdown => Event::Shutdown,
                Act::Wait(seconds) => { now = now.plus(Duration::from_secs(seconds)); Event::Tick }
            };
            let evicted_in_use = event == Event::Evict { reason: UnloadReason::MemoryPressure }
                && machine.state().active() > 0;
            let effects = machine.step(event, now).expect("only possible events were sent");
            prop_assert!(!evicted_in_use || effects.is_empty(), "a model in use was evicted");
            world.apply(effects)?;
            world.agrees_with(&machine)?;
        }
    }
}
