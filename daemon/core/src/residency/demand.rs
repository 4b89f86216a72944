//! Requests that wait for their turn.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::error::Fault;
use crate::generate::ClientId;
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
    pub client: ClientId,
    pub priority: Priority,
    pub arrived: Moment,
    /// Refused then if its turn has not come.
    pub deadline: Option<Moment>,
    pub wishes: Wishes,
    /// False for what is only nice to have: it loads if there is room and is dropped otherwise.
    pub may_evict: bool,
    /// Its place among the requests of all clients; the queue gives it.
    pub start: u64,
}

impl Residency {
    /// Gets into the queue. Decide next.
    ///
    /// In a full queue whoever has fewer requests waiting takes the place of the latest request of
    /// whoever has the most, which is refused with the next decision. So one client alone may have
    /// the whole queue, and none can keep others out of it.
    pub fn ask(&mut self, mut demand: Demand) -> Result<(), Fault> {
        // Who can be served at once does not wait, however many others do.
        let beyond = self.queue.len().saturating_sub(self.policy.queue_length);
        let served = beyond < self.policy.capacity && self.has_a_place(&demand.model);
        if self.queue.len() >= self.policy.queue_length && !served {
            self.displace_for(demand.client)?;
        }
        let waits = self.queue.iter().any(|other| other.client == demand.client);
        demand.start = self.clients.start(demand.client, waits);
        self.queue.push(demand);
        Ok(())
    }

    /// Takes the latest request of lowest class out of the queue of whoever has the most there, if
    /// that is more than this client would have.
    fn displace_for(&mut self, client: ClientId) -> Result<(), Fault> {
        let limit = self.policy.queue_length;
        let mut waiting: BTreeMap<ClientId, usize> = BTreeMap::new();
        for demand in &self.queue {
            *waiting.entry(demand.client).or_default() += 1;
        }
        let own = waiting.get(&client).copied().unwrap_or(0) + 1;
        let heaviest = waiting.into_iter().filter(|(_, count)| *count > own);
        let Some((heaviest, count)) = heaviest.max_by_key(|(_, count)| *count) else {
            return Err(refusals::queue_full(limit));
        };
        let theirs = self.queue.iter().enumerate();
        let theirs = theirs.filter(|(_, demand)| demand.client == heaviest);
        let last = theirs.max_by_key(|(index, demand)| (Reverse(demand.priority), demand.start, *index));
        let Some((index, _)) = last else {
            return Err(refusals::queue_full(limit));
        };
        let displaced = self.queue.remove(index);
        let fault = refusals::displaced(limit, count);
        self.displaced.push((displaced.request, fault));
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
