//! What those who wait are told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lifecycle::RequestId;
use crate::memory::display_bytes;
use crate::model::Queued;
use crate::name::ModelName;
use crate::time::Moment;

use super::demand::Wishes;
use super::record::{Facts, Place};
use super::turn::Standing;
use super::{Residency, refusals};

impl Residency {
    /// Everybody in the queue, by turn, with what is before them.
    #[must_use]
    pub fn waiting(&self, now: Moment) -> Vec<(RequestId, ModelName, Queued)> {
        let mut order: Vec<usize> = (0..self.queue.len()).collect();
        order.sort_by_key(|&index| Standing::new(&self.queue[index], &self.policy, now).turn());
        let mut reasons: BTreeMap<&ModelName, String> = BTreeMap::new();
        let mut before: Option<Duration> = Some(Duration::ZERO);
        let mut answers = Vec::with_capacity(order.len());
        for (position, index) in order.into_iter().enumerate() {
            let demand = &self.queue[index];
            let reason = reasons.entry(&demand.model).or_insert_with(|| {
                before = match (before, self.time_until_loaded(&demand.model)) {
                    (Some(before), Some(time)) => Some(before.saturating_add(time)),
                    (None, _) | (_, None) => None,
                };
                self.why_waiting(&demand.model)
            });
            let queued = Queued {
                position: u32::try_from(position).unwrap_or(u32::MAX),
                estimated_wait: before,
                reason: reason.clone(),
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
                let busy = self.resident().filter(|(_, record)| record.active() > 0);
                let in_use = busy.filter_map(|(_, record)| record.answer_time()).max();
                Some(record.load_time()?.saturating_add(in_use.unwrap_or_default()))
            }
            Place::Refusing(_) => None,
        }
    }

    /// Why a model that somebody waits for is not there, for a person.
    pub(super) fn why_waiting(&self, name: &ModelName) -> String {
        let Some(record) = self.models.get(name) else {
            return String::new();
        };
        match &record.place {
            Place::Loading { .. } => "it is being loaded".to_owned(),
            Place::Leaving => "it is being unloaded".to_owned(),
            Place::Idle | Place::Busy { .. } => "it answers others".to_owned(),
            Place::Refusing(_) => String::new(),
            Place::Unloaded if !matches!(record.facts, Facts::Known(_)) => {
                "its files are looked at".to_owned()
            }
            Place::Unloaded => self.what_it_waits_for(name),
        }
    }

    fn what_it_waits_for(&self, name: &ModelName) -> String {
        let options = self.options(name, Wishes::default()).unwrap_or_default();
        let needs = options
            .first()
            .map(|option| format!(" for {}", display_bytes(option.bytes)))
            .unwrap_or_default();
        let busy = self.resident().filter(|(_, record)| record.active() > 0);
        let busy: Vec<ModelName> = busy.map(|(name, _)| name.clone()).collect();
        if busy.is_empty() {
            format!("it waits{needs}")
        } else {
            format!("it waits{needs}, in use: {}", refusals::list(&busy))
        }
    }
}
