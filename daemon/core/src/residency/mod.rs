//! Which models are in memory, whose turn it is, and what has to go.
//!
//! [`Residency`] owns the memory accounts and the one queue of requests. It is told what happens
//! (a request came, a worker reported its memory, a model became idle) and says what to do;
//! choosing a variant, setting its memory aside and planning what must go is one step, so that
//! selection and allocation cannot disagree. It moves no model itself: the life of each is its
//! [`Machine`](crate::lifecycle::Machine), and a model that turns busy after it was planned to
//! go simply stays, and the next decision plans anew.

mod accounts;
mod decide;
mod demand;
mod evict;
mod options;
mod permission;
mod preview;
mod record;
mod refusals;
mod room;
mod turn;
mod waiting;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::Fault;
use crate::fairness::Clients;
use crate::hardware::Device;
use crate::lifecycle::{RequestId, UnloadReason};
use crate::name::ModelName;
use crate::time::Moment;

pub use accounts::{DeviceFacts, ReservationId};
pub use demand::{Demand, Wishes};
pub use options::{LoadOption, PackageFacts};
pub use preview::Preview;
pub use record::Place;

use accounts::Devices;
use record::Record;

/// Fixed numbers the decisions are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Requests that may wait altogether.
    pub queue_length: usize,
    /// A request that has waited so long is served before newer ones, whatever is loaded.
    pub fair_after: Duration,
    /// Requests one loaded model is given at once.
    pub capacity: usize,
    /// Tokens of one conversation unless somebody asks for another length.
    pub context_length: u32,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The model's files have to be looked at first: answer with [`Residency::facts`].
    NeedFacts(ModelName),
    /// Memory is set aside: start the worker like this, for the requests that are let in next.
    Load {
        model: ModelName,
        option: LoadOption,
    },
    /// The request's turn has come: hand it to the model's machine.
    Admit {
        request: RequestId,
        model: ModelName,
    },
    /// Unload it if it is still idle.
    Evict {
        model: ModelName,
        reason: UnloadReason,
    },
    /// Have it give back what can be computed again.
    Trim(ModelName),
    Refuse {
        request: RequestId,
        fault: Fault,
    },
    /// Decide again then, even if nothing happens before.
    WakeAt(Moment),
}

/// The one owner of memory and turns.
#[derive(Clone, Debug)]
pub struct Residency {
    policy: Policy,
    devices: Devices,
    models: BTreeMap<ModelName, Record>,
    /// Those that have memory.
    resident: BTreeSet<ModelName>,
    /// In order of arrival.
    queue: Vec<Demand>,
    clients: Clients,
    /// Those that gave up their place in the queue to others, and were not told yet.
    displaced: Vec<(RequestId, Fault)>,
}

impl Residency {
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            devices: Devices::default(),
            models: BTreeMap::new(),
            resident: BTreeSet::new(),
            queue: Vec::new(),
            clients: Clients::default(),
            displaced: Vec::new(),
        }
    }

    /// Goes by other numbers from the next decision.
    pub const fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Has a model stay longer or shorter than others when memory is needed.
    pub fn set_rank(&mut self, name: &ModelName, rank: u8) {
        if let Some(record) = self.models.get_mut(name) {
            record.rank = rank;
        }
    }

    /// A model is installed. Those of a higher rank stay longer when memory is needed. One that
    /// is known already keeps its memory, and its files are looked at again.
    pub fn add(&mut self, name: ModelName, rank: u8) {
        let record = self.models.entry(name).or_insert_with(|| Record::new(rank));
        record.rank = rank;
        record.forget_facts();
    }

    /// A model is not installed any more.
    pub fn remove(&mut self, name: &ModelName) {
        self.models.remove(name);
        self.resident.remove(name);
    }

    /// What loading the model takes, or why it cannot be loaded at all.
    pub fn facts(&mut self, name: &ModelName, facts: Result<PackageFacts, Fault>) {
        if let Some(record) = self.models.get_mut(name) {
            record.set_facts(facts);
        }
    }

    /// Looks at the files again before the next load.
    pub fn forget_facts(&mut self, name: &ModelName) {
        if let Some(record) = self.models.get_mut(name) {
            record.forget_facts();
        }
    }

    /// Where its machine is. To be told after every step of it.
    pub fn observe(&mut self, name: &ModelName, place: Place, now: Moment) {
        if let Some(record) = self.models.get_mut(name) {
            record.observe(place, now);
            if record.holding.is_none() {
                self.resident.remove(name);
            }
        }
    }

    /// Memory of its worker, bytes. More than its device has is not believed.
    pub fn measured(&mut self, name: &ModelName, bytes: u64) {
        let device = self.models.get(name).and_then(Record::device);
        let facts = device.and_then(|device| self.devices.get(device));
        let believable = facts.is_none_or(|facts| bytes <= facts.reading.total_bytes);
        if let Some(record) = self.models.get_mut(name)
            && believable
        {
            record.measured(bytes);
        }
    }

    /// What the model takes when it is loaded like this, measured.
    pub fn learned(&mut self, name: &ModelName, option: &LoadOption, bytes: u64) {
        if let Some(record) = self.models.get_mut(name) {
            record.learned(option, bytes);
        }
    }

    /// How long its load took.
    pub fn loaded_in(&mut self, name: &ModelName, took: Duration) {
        if let Some(record) = self.models.get_mut(name) {
            record.loaded_in(took);
        }
    }

    /// How long a request kept it busy.
    pub fn answered_in(&mut self, name: &ModelName, took: Duration) {
        if let Some(record) = self.models.get_mut(name) {
            record.answered_in(took);
        }
    }

    /// Its load died of memory. True if it is worth another try, with more set aside and all
    /// idle models out of the way; only once until a load succeeds.
    pub fn ran_out_of_memory(&mut self, name: &ModelName) -> bool {
        self.models.get_mut(name).is_some_and(Record::ran_out_of_memory)
    }

    /// What its estimates are multiplied with, percent.
    #[must_use]
    pub fn factor_percent(&self, name: &ModelName) -> u64 {
        self.models.get(name).map_or(100, Record::factor_percent)
    }

    /// Keeps it when others need memory, or no longer.
    pub fn pin(&mut self, name: &ModelName, pinned: bool) {
        if let Some(record) = self.models.get_mut(name) {
            record.pinned = pinned;
        }
    }

    #[must_use]
    pub fn is_pinned(&self, name: &ModelName) -> bool {
        self.models.get(name).is_some_and(|record| record.pinned)
    }

    /// How it is loaded, or will be: with its memory set aside.
    #[must_use]
    pub fn holding(&self, name: &ModelName) -> Option<&LoadOption> {
        self.models
            .get(name)?
            .holding
            .as_ref()
            .map(|holding| &holding.option)
    }

    /// Bytes set aside for it.
    #[must_use]
    pub fn reserved(&self, name: &ModelName) -> u64 {
        self.models.get(name).map_or(0, Record::reserved)
    }

    fn resident(&self) -> impl Iterator<Item = (&ModelName, &Record)> {
        self.resident
            .iter()
            .filter_map(|name| Some((name, self.models.get(name)?)))
    }

    fn record(&self, name: &ModelName) -> Option<&Record> {
        self.models.get(name)
    }

    /// All that is set aside for models on a device, bytes.
    fn models_bytes(&self, device: Device) -> u64 {
        self.resident()
            .filter(|(_, record)| record.device() == Some(device))
            .map(|(_, record)| record.reserved())
            .fold(0, u64::saturating_add)
    }
}
