//! Requests that wait for their turn.

use std::collections::BTreeMap;

use crate::error::Fault;
use crate::lifecycle::RequestId;
use crate::memory::Quantization;
use crate::name::ModelName;
use crate::priority::Priority;
use crate::time::Moment;

use super::Residency;
use super::refusals;

/// How somebody wants a model loaded; `None` leaves the choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    pub level: Option<Quantization>,
    pub context_length: Option<u32>,
}

/// A request that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    pub request: RequestId,
    pub model: ModelName,
    pub priority: Priority,
    pub arrived: Moment,
    /// Refused then if its turn has not come.
    pub deadline: Option<Moment>,
    pub wishes: Wishes,
    /// False for what is only nice to have: it loads if there is room and is dropped otherwise.
    pub may_evict: bool,
}

impl Residency {
    /// Gets into the queue. Decide next.
    pub fn ask(&mut self, demand: Demand) -> Result<(), Fault> {
        // Who can be served at once does not wait, however many others do.
        let beyond = self.queue.len().saturating_sub(self.policy.queue_length);
        let served = beyond < self.policy.capacity && self.has_a_place(&demand.model);
        if self.queue.len() >= self.policy.queue_length && !served {
            return Err(refusals::queue_full(self.policy.queue_length));
        }
        self.queue.push(demand);
        Ok(())
    }

    /// Gets back into the queue, at its old place.
    pub fn ask_again(&mut self, demand: Demand) {
        let place = self
            .queue
            .partition_point(|other| other.arrived <= demand.arrived);
        self.queue.insert(place, demand);
    }

    /// True if the model is there and can take one more.
    fn has_a_place(&self, name: &ModelName) -> bool {
        let record = self.models.get(name);
        record.is_some_and(|record| record.is_resident() && record.active() < self.policy.capacity)
    }

    /// A request that waited has given up; nothing if it did not wait.
    pub fn leave(&mut self, request: RequestId) {
        self.queue.retain(|demand| demand.request != request);
    }

    /// Those who waited for a look at the files begin to wait for their turn.
    pub fn forgive(&mut self, name: &ModelName, now: Moment) {
        for demand in self.queue.iter_mut().filter(|demand| demand.model == *name) {
            let patience = demand.deadline.map(|deadline| deadline.since(demand.arrived));
            demand.deadline = patience.map(|patience| now.plus(patience));
        }
    }

    /// Takes everybody out of the queue, to be refused.
    pub fn close(&mut self) -> Vec<RequestId> {
        self.queue.drain(..).map(|demand| demand.request).collect()
    }

    /// Takes those who wait for one model out of the queue, to be refused.
    pub fn dismiss(&mut self, name: &ModelName) -> Vec<RequestId> {
        let dismissed = self.queue.extract_if(.., |demand| demand.model == *name);
        dismissed.map(|demand| demand.request).collect()
    }

    /// How many wait for one model.
    #[must_use]
    pub fn waiting_for(&self, name: &ModelName) -> usize {
        self.queue.iter().filter(|demand| demand.model == *name).count()
    }

    /// The models somebody waits for, and how many wait for each.
    #[must_use]
    pub fn wanted(&self) -> BTreeMap<ModelName, usize> {
        let mut wanted = BTreeMap::new();
        for demand in &self.queue {
            *wanted.entry(demand.model.clone()).or_default() += 1;
        }
        wanted
    }
}
