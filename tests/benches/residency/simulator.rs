//! A daemon without processes: it does at once what is decided, and loads and answers take their
//! time on a clock of its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use airunner_core::generate::ClientId;
use airunner_core::hardware::Device;
use airunner_core::lifecycle::RequestId;
use airunner_core::memory::{Budget, MemoryReading, PackageEstimate, Quantization, VariantEstimate};
use airunner_core::residency::{
    Decision, Demand, DeviceFacts, PackageFacts, Place, Policy, Residency, Wishes,
};
use airunner_core::{ModelName, Moment, Priority};

use crate::bound::{Bounds, Times};
use crate::random::Random;

pub(crate) const GIB: u64 = 1 << 30;
/// Answers take from a quarter of the longest time to all of it: this share on average.
pub(crate) const MEAN_ANSWER: f64 = 0.625;

/// One request of the workload.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) at: Moment,
    pub(crate) model: usize,
    pub(crate) answer: Duration,
}

/// What came of a workload.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) loads: usize,
    /// Of every request, in no particular order.
    pub(crate) waits: Vec<Duration>,
    pub(crate) aged: usize,
    pub(crate) beyond_the_bound: usize,
    pub(crate) refused: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Loaded(usize),
    Answered(usize),
    Gone(usize),
    Arrival(usize),
}

pub(crate) struct Simulator<'a> {
    residency: Residency,
    names: Vec<ModelName>,
    index: BTreeMap<ModelName, usize>,
    places: Vec<Place>,
    /// Let in, waiting for the end of the load.
    boarding: Vec<Vec<usize>>,
    arrivals: &'a [Arrival],
    times: Times,
    bounds: Bounds,
    now: Moment,
    events: BinaryHeap<Reverse<(Moment, Event)>>,
    /// When to decide even if nothing happens.
    wake: Option<Moment>,
    outcome: Outcome,
}

/// Facts of a package with one variant of that size.
pub(crate) fn facts(bytes: u64, load: Duration) -> PackageFacts {
    let variant = VariantEstimate {
        file: "model_q4.onnx".to_owned(),
        level: Quantization::Int4,
        weights_bytes: bytes,
        cache_bytes_per_token: 0,
        cache_window: None,
        activation_bytes: 0,
        activation_bytes_per_token: 0,
        overhead_bytes: 0,
        loading_bytes: 0,
        step_bytes: 0,
        compute_capability_min: None,
    };
    PackageFacts {
        estimate: PackageEstimate {
            variants: vec![variant],
            context_length: Some(32_768),
        },
        learned: BTreeMap::new(),
        factor_percent: 100,
        load_time: Some(load),
    }
}

/// A processor with that much memory for models.
pub(crate) fn cpu(bytes: u64) -> DeviceFacts {
    DeviceFacts {
        device: Device::Cpu,
        compute_capability: None,
        runs_models: true,
        budget: Budget::Bytes(bytes),
        reading: MemoryReading {
            total_bytes: bytes * 4,
            available_bytes: bytes * 4,
            own_bytes: 0,
        },
    }
}

pub(crate) fn name(index: usize) -> ModelName {
    ModelName::new(&format!("owner/model-{index}")).expect("a name of letters and digits")
}

impl<'a> Simulator<'a> {
    /// `models` models of the same size, of which `places` fit.
    pub(crate) fn new(models: usize, places: u64, times: Times, arrivals: &'a [Arrival]) -> Self {
        let mut residency = Residency::new(Policy {
            queue_length: 512,
            fair_after: times.fair_after,
            capacity: times.at_once,
            context_length: 4096,
        });
        residency.set_device(cpu(places * GIB));
        let names: Vec<ModelName> = (0..models).map(name).collect();
        for name in &names {
            residency.add(name.clone(), 0);
            residency.facts(name, Ok(facts(GIB, times.load)));
        }
        let index = names.iter().cloned().zip(0..).collect();
        let mut events = BinaryHeap::new();
        if let Some(first) = arrivals.first() {
            events.push(Reverse((first.at, Event::Arrival(0))));
        }
        Self {
            residency,
            index,
            places: vec![Place::Unloaded; models],
            boarding: vec![Vec::new(); models],
            names,
            arrivals,
            times,
            bounds: Bounds::default(),
            now: Moment::default(),
            events,
            wake: None,
            outcome: Outcome::default(),
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        while let Some((at, event)) = self.next() {
            self.now = self.now.max(at);
            if let Some(event) = event {
                self.happens(event);
            }
            self.bounds.look(&self.times, self.now);
            self.settle();
        }
        self.outcome.aged = self.bounds.aged();
        self.outcome
    }

    /// What happens next; `None` is only a moment to decide anew.
    fn next(&mut self) -> Option<(Moment, Option<Event>)> {
        let due = self.events.peek().map(|Reverse((at, _))| *at);
        if let Some(wake) = self.wake.filter(|wake| due.is_none_or(|due| *wake < due)) {
            return Some((wake, None));
        }
        let Reverse((at, event)) = self.events.pop()?;
        Some((at, Some(event)))
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrival(request) => self.arrives(request),
            Event::Loaded(model) => {
                let boarding = std::mem::take(&mut self.boarding[model]);
                let active = boarding.len();
                for request in boarding {
                    self.answer(request);
                }
                self.put(model, busy(active));
            }
            Event::Answered(model) => {
                if let Place::Busy { active, .. } = self.places[model] {
                    self.put(model, busy(active.saturating_sub(1)));
                }
            }
            Event::Gone(model) => self.put(model, Place::Unloaded),
        }
    }

    fn arrives(&mut self, request: usize) {
        if let Some(next) = self.arrivals.get(request + 1) {
            self.events.push(Reverse((next.at, Event::Arrival(request + 1))));
        }
        let arrival = self.arrivals[request];
        let demand = Demand {
            request: RequestId(u64::try_from(request).unwrap_or(u64::MAX)),
            model: self.names[arrival.model].clone(),
            client: ClientId::default(),
            priority: Priority::Api,
            arrived: self.now,
            deadline: None,
            wishes: Wishes::default(),
            may_evict: true,
            start: 0,
        };
        match self.residency.ask(demand) {
            Ok(()) => self.bounds.arrives(request, arrival.model, self.now),
            Err(_) => self.outcome.refused += 1,
        }
    }

    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            self.wake = None;
            for decision in self.residency.decide(self.now) {
                if let Decision::WakeAt(at) = decision {
                    assert!(at > self.now, "woken at once");
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
    }

    fn perform(&mut self, decision: Decision) {
        match decision {
            Decision::Load { model, .. } => {
                let model = self.index[&model];
                self.outcome.loads += 1;
                self.after(self.times.load, Event::Loaded(model));
                self.places[model] = Place::Loading { waiting: 0 };
            }
            Decision::Admit { request, model } => {
                let request = usize::try_from(request.0).unwrap_or(usize::MAX);
                self.admit(request, self.index[&model]);
            }
            Decision::Evict { model, .. } => {
                let model = self.index[&model];
                assert_eq!(self.places[model], Place::Idle, "only what is idle goes");
                self.after(self.times.stop, Event::Gone(model));
                self.put(model, Place::Leaving);
            }
            Decision::Refuse { .. } => self.outcome.refused += 1,
            Decision::NeedFacts(_) | Decision::Trim(_) | Decision::WakeAt(_) => {}
        }
    }

    fn admit(&mut self, request: usize, model: usize) {
        match self.places[model].clone() {
            Place::Loading { waiting } => {
                self.boarding[model].push(request);
                self.put(model, Place::Loading { waiting: waiting + 1 });
            }
            Place::Idle => {
                self.answer(request);
                self.put(model, busy(1));
            }
            Place::Busy { active, .. } => {
                self.answer(request);
                self.put(model, busy(active + 1));
            }
            place @ (Place::Unloaded | Place::Refusing(_) | Place::Leaving) => {
                panic!("let in to a model that is {place:?}")
            }
        }
    }

    /// Its wait is over, the load included.
    fn answer(&mut self, request: usize) {
        let Arrival { at, model, answer } = self.arrivals[request];
        self.outcome.waits.push(self.now.since(at));
        if !self.bounds.let_in(request, self.now) {
            self.outcome.beyond_the_bound += 1;
        }
        self.after(answer, Event::Answered(model));
    }

    fn put(&mut self, model: usize, place: Place) {
        self.places[model] = place.clone();
        self.residency.observe(&self.names[model], place, self.now);
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.events.push(Reverse((self.now.plus(wait), event)));
    }
}

const fn busy(active: usize) -> Place {
    if active == 0 {
        return Place::Idle;
    }
    Place::Busy {
        active,
        leaving: false,
    }
}

/// Requests that come by chance, so many a second on average.
pub(crate) fn arrivals(requests: &[usize], rate: f64, times: &Times, random: &mut Random) -> Vec<Arrival> {
    let mut at = 0.0;
    let mut arrive = |model: &usize| {
        at += random.pause(rate);
        Arrival {
            at: Moment::since_start(Duration::from_secs_f64(at)),
            model: *model,
            answer: times.longest_answer.mul_f64(0.25 + 0.75 * random.share()),
        }
    };
    requests.iter().map(&mut arrive).collect()
}
