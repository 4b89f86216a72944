//! A small world for tests: it does what is decided, as the daemon does, with true machines and
//! a clock that only moves when it is told to, and notes what happens as text.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::{ErrorKind, Fault};
use crate::generate::ClientId;
use crate::hardware::Device;
use crate::keep_alive::KeepAlive;
use crate::lifecycle::{AttemptId, Effect, Event, Limits, Machine, Purpose, RequestId, State, UnloadReason};
use crate::memory::{Budget, MemoryReading, PackageEstimate, Quantization, VariantEstimate};
use crate::name::ModelName;
use crate::priority::Priority;
use crate::time::Moment;

use super::{Decision, Demand, DeviceFacts, PackageFacts, Place, Policy, Residency, Wishes};

pub(super) const GIB: u64 = 1 << 30;
/// How long a worker takes to end.
const STOP: Duration = Duration::from_millis(100);
/// More decisions than that in a row are a livelock.
const MOST_ROUNDS: usize = 200;

pub(super) fn name(text: &str) -> ModelName {
    ModelName::new(text).unwrap()
}

pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1000.0).round() as u64)
}

pub(super) fn policy() -> Policy {
    Policy {
        queue_length: 512,
        fair_after: Duration::from_secs(30),
        capacity: 4,
        context_length: 4096,
    }
}

pub(super) fn variant(level: Quantization, bytes: u64) -> VariantEstimate {
    VariantEstimate {
        file: format!("model_{level}.onnx"),
        level,
        weights_bytes: bytes,
        cache_bytes_per_token: 0,
        cache_window: None,
        activation_bytes: 0,
        activation_bytes_per_token: 0,
        overhead_bytes: 0,
        loading_bytes: 0,
        step_bytes: 0,
        compute_capability_min: None,
    }
}

pub(super) fn facts(variants: Vec<VariantEstimate>, load: Duration) -> PackageFacts {
    PackageFacts {
        estimate: PackageEstimate {
            variants,
            context_length: Some(32_768),
        },
        learned: BTreeMap::new(),
        factor_percent: 100,
        load_time: Some(load),
    }
}

pub(super) fn device(device: Device, total: u64, budget: Budget) -> DeviceFacts {
    DeviceFacts {
        device,
        compute_capability: (device != Device::Cpu).then_some((8, 6)),
        runs_models: true,
        budget,
        reading: MemoryReading {
            total_bytes: total,
            available_bytes: total,
            own_bytes: 0,
        },
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) client: ClientId,
    pub(super) priority: Priority,
    pub(super) patience: Option<Duration>,
    pub(super) wishes: Wishes,
    pub(super) may_evict: bool,
    pub(super) purpose: Purpose,
    /// It ends by itself after this time.
    pub(super) answer: Option<Duration>,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            client: ClientId::default(),
            priority: Priority::Api,
            patience: None,
            wishes: Wishes::default(),
            may_evict: true,
            purpose: Purpose::Use,
            answer: None,
        }
    }
}

pub(super) struct World {
    pub(super) residency: Residency,
    pub(super) now: Moment,
    pub(super) machines: BTreeMap<ModelName, Machine>,
    pub(super) packages: BTreeMap<ModelName, PackageFacts>,
    asked: BTreeMap<RequestId, (Demand, Ask)>,
    /// In use, and of which model.
    pub(super) granted: BTreeMap<RequestId, ModelName>,
    /// Given back or ended.
    pub(super) served: BTreeSet<RequestId>,
    pub(super) refused: BTreeMap<RequestId, Fault>,
    pub(super) waited: BTreeMap<RequestId, Duration>,
    due: Vec<(Moment, ModelName, Event)>,
    wake: Option<Moment>,
    pub(super) loads: usize,
    /// Loads that die of memory.
    pub(super) dies: BTreeMap<ModelName, usize>,
    /// Workers that do not end until told to.
    pub(super) slow_to_stop: bool,
    requests: u64,
    pub(super) text: Vec<String>,
}

impl World {
    /// With one CPU that has much memory, and a budget.
    pub(super) fn new(gib: u64) -> Self {
        Self::with(
            policy(),
            vec![device(Device::Cpu, 64 * GIB, Budget::Bytes(gib * GIB))],
        )
    }

    pub(super) fn with(policy: Policy, devices: Vec<DeviceFacts>) -> Self {
        let mut residency = Residency::new(policy);
        for facts in devices {
            residency.set_device(facts);
        }
        Self {
            residency,
            now: Moment::default(),
            machines: BTreeMap::new(),
            packages: BTreeMap::new(),
            asked: BTreeMap::new(),
            granted: BTreeMap::new(),
            served: BTreeSet::new(),
            refused: BTreeMap::new(),
            waited: BTreeMap::new(),
            due: Vec::new(),
            wake: None,
            loads: 0,
            dies: BTreeMap::new(),
            slow_to_stop: false,
            requests: 0,
            text: Vec::new(),
        }
    }

    /// A model of one variant that loads in two seconds.
    pub(super) fn model(self, model: &str, gib: u64) -> Self {
        self.package(
            model,
            facts(vec![variant(Quantization::Int4, gib * GIB)], seconds(2.0)),
        )
    }

    pub(super) fn package(mut self, model: &str, facts: PackageFacts) -> Self {
        let limits = Limits {
            keep_alive: KeepAlive::Forever,
        };
        self.machines.insert(name(model), Machine::new(limits));
        self.residency.add(name(model), 0);
        self.packages.insert(name(model), facts);
        self
    }

    pub(super) fn rank(mut self, model: &str, rank: u8) -> Self {
        self.residency.add(name(model), rank);
        self
    }

    pub(super) fn wants(&mut self, model: &str) -> RequestId {
        self.asks(model, Ask::default())
    }

    /// A request that ends so long after it is let in.
    pub(super) fn chats(&mut self, model: &str, answer: f64) -> RequestId {
        let answer = Some(seconds(answer));
        self.asks(
            model,
            Ask {
                answer,
                ..Ask::default()
            },
        )
    }

    pub(super) fn asks(&mut self, model: &str, ask: Ask) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        let demand = Demand {
            request,
            model: name(model),
            client: ask.client,
            priority: ask.priority,
            arrived: self.now,
            deadline: ask.patience.map(|patience| self.now.plus(patience)),
            wishes: ask.wishes,
            may_evict: ask.may_evict,
            start: 0,
        };
        self.asked.insert(request, (demand.clone(), ask));
        if let Err(fault) = self.residency.ask(demand) {
            self.refuse(request, fault);
        }
        self.settle();
        request
    }

    pub(super) fn ends(&mut self, request: u64) {
        let request = RequestId(request);
        let model = self.granted.get(&request).cloned();
        let model = model.or_else(|| Some(self.asked.get(&request)?.0.model.clone()));
        self.asked.remove(&request);
        self.residency.leave(request);
        if let Some(model) = model {
            self.step(&model, Event::Release { request });
            if self.granted.remove(&request).is_some() {
                self.served.insert(request);
            }
        }
        self.settle();
    }

    /// Lets what is due happen up to then.
    pub(super) fn at(&mut self, moment: f64) {
        self.until(Moment::since_start(seconds(moment)));
    }

    pub(super) fn until(&mut self, end: Moment) {
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            if self.wake.is_some_and(|wake| wake <= self.now) {
                self.wake = None;
            }
            let (due, later) = std::mem::take(&mut self.due)
                .into_iter()
                .partition(|(at, ..)| *at <= self.now);
            self.due = later;
            for (_, model, event) in due {
                self.happens(&model, event);
            }
            self.settle();
        }
        self.now = self.now.max(end);
        self.settle();
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<Moment> {
        self.due.iter().map(|(at, ..)| *at).chain(self.wake).min()
    }

    fn happens(&mut self, model: &ModelName, event: Event) {
        if let Event::Release { request } = event {
            return self.ends(request.0);
        }
        if let (Event::LoadSucceeded { attempt }, Some(left)) = (&event, self.dies.get_mut(model))
            && *left > 0
        {
            *left -= 1;
            return self.dies_of_memory(model, *attempt);
        }
        self.step(model, event);
    }

    fn dies_of_memory(&mut self, model: &ModelName, attempt: AttemptId) {
        let retry = self.residency.ran_out_of_memory(model);
        let fault = Fault::new(ErrorKind::OutOfMemory, "the load died of memory");
        self.step(
            model,
            Event::LoadFailed {
                attempt,
                fault,
                crashed: false,
                retry,
            },
        );
    }

    pub(super) fn settle(&mut self) {
        for _ in 0..MOST_ROUNDS {
            let again = self.residency.clone().decide(self.now);
            let decisions = self.residency.decide(self.now);
            assert_eq!(decisions, again, "the same input, another answer");
            self.wake = None;
            let mut quiet = true;
            for decision in decisions {
                if let Decision::WakeAt(at) = decision {
                    assert!(at > self.now, "woken at once: {at:?} at {:?}", self.now);
                    self.wake = Some(at);
                } else {
                    quiet = false;
                    self.perform(decision);
                }
            }
            if quiet {
                return;
            }
        }
        panic!("the decisions do not end:\n{}", self.text.join("\n"));
    }

    pub(super) fn perform(&mut self, decision: Decision) {
        match decision {
            Decision::NeedFacts(model) => {
                let facts = self.packages.get(&model).cloned();
                let missing = || Fault::new(ErrorKind::ModelInvalid, "no such files");
                self.residency.facts(&model, facts.ok_or_else(missing));
            }
            Decision::Load { model, option } => {
                self.loads += 1;
                let gib = option.bytes as f64 / GIB as f64;
                self.note(format!(
                    "load {model}: {gib} GiB of {}, {}",
                    option.device, option.level
                ));
                let parts = self.residency.breakdown();
                let parts = parts.iter().find(|parts| parts.device == option.device);
                let parts = parts.expect("loaded on a device that is not there");
                assert!(
                    parts.models_bytes + parts.canvas_history_bytes <= parts.budget_bytes,
                    "more is set aside than the budget allows: {parts:?}"
                );
            }
            Decision::Admit { request, model } => {
                self.note(format!("{} gets {model}", request.0));
                let (_, ask) = &self.asked[&request];
                let purpose = ask.purpose;
                self.step(
                    &model,
                    Event::Acquire {
                        request,
                        purpose,
                        keep_alive: None,
                    },
                );
            }
            Decision::Evict { model, reason } => self.evict(&model, reason),
            Decision::Trim(model) => self.note(format!("trim {model}")),
            Decision::Refuse { request, fault } => self.refuse(request, fault),
            Decision::WakeAt(_) => {}
        }
    }

    fn evict(&mut self, model: &ModelName, reason: UnloadReason) {
        let state = self.machines[model].state();
        assert!(
            matches!(state, State::Loaded { .. }),
            "{model} is {}",
            state.name()
        );
        assert!(
            reason == UnloadReason::Reloaded || !self.residency.is_pinned(model),
            "{model} is pinned"
        );
        self.note(format!("evict {model} ({reason})"));
        self.step(model, Event::Evict { reason });
        self.observe(model);
    }

    fn refuse(&mut self, request: RequestId, fault: Fault) {
        self.note(format!("refuse {}: {}", request.0, fault.kind));
        assert!(
            self.asked.remove(&request).is_some(),
            "answered twice: {request:?}"
        );
        self.refused.insert(request, fault);
    }

    pub(super) fn step(&mut self, model: &ModelName, event: Event) {
        let machine = self.machines.get_mut(model).unwrap();
        let effects = machine.step(event, self.now).unwrap();
        for effect in effects {
            match effect {
                Effect::StartWorker { attempt } => {
                    let took = self.packages[model].load_time.unwrap();
                    self.later(took, model, Event::LoadSucceeded { attempt });
                }
                Effect::StopWorker { attempt, .. } if !self.slow_to_stop => {
                    self.later(STOP, model, Event::Stopped { attempt });
                }
                Effect::Grant { request, .. } => self.grant(request, model),
                Effect::Requeue { request } => {
                    let demand = self.asked[&request].0.clone();
                    self.note(format!("{} waits again", request.0));
                    self.residency.ask_again(demand);
                }
                Effect::Refuse { request, fault } => self.refuse(request, fault),
                Effect::Cancel { request, fault } => {
                    assert!(self.granted.remove(&request).is_some(), "cancelled twice");
                    self.refused.insert(request, fault);
                }
                Effect::StopWorker { .. } | Effect::Announce { .. } | Effect::WakeAt(_) => {}
            }
        }
        self.observe(model);
    }

    fn grant(&mut self, request: RequestId, model: &ModelName) {
        let (demand, ask) = self.asked.remove(&request).expect("granted twice");
        self.waited.insert(request, self.now.since(demand.arrived));
        if ask.purpose == Purpose::Load {
            self.served.insert(request);
            return;
        }
        self.granted.insert(request, model.clone());
        if let Some(answer) = ask.answer {
            self.later(answer, model, Event::Release { request });
        }
    }

    fn later(&mut self, wait: Duration, model: &ModelName, event: Event) {
        self.due.push((self.now.plus(wait), model.clone(), event));
    }

    pub(super) fn observe(&mut self, model: &ModelName) {
        let place = self.place(model);
        self.residency.observe(model, place, self.now);
    }

    pub(super) fn place(&self, model: &ModelName) -> Place {
        let machine = &self.machines[model];
        match machine.state() {
            State::Unloaded { .. } => machine.refusal(self.now).map_or(Place::Unloaded, Place::Refusing),
            State::Loading { waiting, .. } => Place::Loading {
                waiting: waiting.len(),
            },
            State::Loaded { .. } => Place::Idle,
            State::Busy { active, leaving, .. } => Place::Busy {
                active: active.len(),
                leaving: leaving.is_some(),
            },
            State::Unloading { .. } => Place::Leaving,
        }
    }

    /// The workers that were told to stop have ended.
    pub(super) fn workers_end(&mut self) {
        let leaving: Vec<(ModelName, AttemptId)> = self
            .machines
            .iter()
            .filter(|(_, machine)| matches!(machine.state(), State::Unloading { .. }))
            .filter_map(|(model, machine)| Some((model.clone(), machine.state().attempt()?)))
            .collect();
        for (model, attempt) in leaving {
            self.step(&model, Event::Stopped { attempt });
        }
        self.settle();
    }

    /// Requests that have no answer yet.
    pub(super) fn open(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn loaded(&self) -> Vec<String> {
        let there = self.machines.iter().filter(|(_, machine)| {
            matches!(
                machine.state(),
                State::Loaded { .. } | State::Busy { .. } | State::Loading { .. }
            )
        });
        there.map(|(model, _)| model.to_string()).collect()
    }

    fn note(&mut self, line: String) {
        let at = self.now.elapsed_since_start().as_millis();
        self.text
            .push(format!("{}.{} s: {line}", at / 1000, at % 1000 / 100));
    }

    #[track_caller]
    pub(super) fn reads(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.text), expected);
    }
}
