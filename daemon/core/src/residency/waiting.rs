//! What those who wait are told.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::lifecycle::RequestId;
use crate::model::Queued;
use crate::name::ModelName;
use crate::time::Moment;

use super::Residency;
use super::record::Place;

impl Residency {
    /// Everybody in the queue, by turn, with what is before them.
    #[must_use]
    pub fn waiting(&self, now: Moment) -> Vec<(RequestId, ModelName, Queued)> {
        let mut order: Vec<usize> = (0..self.queue.len()).collect();
        order.sort_by_key(|&index| self.queue[index].turn(&self.policy, now));
        let mut loads = BTreeSet::new();
        let mut before: Option<Duration> = Some(Duration::ZERO);
        let mut answers = Vec::with_capacity(order.len());
        for (position, index) in order.into_iter().enumerate() {
            let demand = &self.queue[index];
            if loads.insert(demand.model.clone()) {
                before = match (before, self.time_until_loaded(&demand.model)) {
                    (Some(before), Some(time)) => Some(before + time),
                    (None, _) | (_, None) => None,
                };
            }
            let queued = Queued {
                position: u32::try_from(position).unwrap_or(u32::MAX),
                estimated_wait: before,
                reason: self.why_waiting(&demand.model),
            };
            answers.push((demand.request, demand.model.clone(), queued));
        }
        answers
    }

    /// How long until the model can take a request, as far as is known.
    fn time_until_loaded(&self, name: &ModelName) -> Option<Duration> {
        let record = self.models.get(name)?;
        match record.place {
            Place::Idle => Some(Duration::ZERO),
            Place::Busy { .. } => record.answer_time(),
            Place::Loading { .. } => record.load_time(),
            Place::Unloaded | Place::Leaving => {
                let busy = self.busy();
                let in_use = busy
                    .iter()
                    .filter_map(|name| self.models.get(name)?.answer_time());
                Some(record.load_time()? + in_use.max().unwrap_or_default())
            }
            Place::Refusing(_) => None,
        }
    }
}
