//! What a load would do, without doing it.

use crate::error::Fault;
use crate::hardware::Device;
use crate::memory::Accounts;
use crate::name::ModelName;
use crate::time::Moment;

use super::demand::Wishes;
use super::evict::least;
use super::options::LoadOption;
use super::record::{Place, Record};
use super::{Residency, refusals};

/// What a load would come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// How it would be loaded; the smallest way if it does not fit.
    pub option: LoadOption,
    /// Models that would have to go.
    pub would_unload: Vec<ModelName>,
    /// Why it does not fit, if so.
    pub refusal: Option<Fault>,
}

impl Residency {
    /// What a load with these wishes would come to now. Models in use count as staying.
    pub fn preview(&self, name: &ModelName, wishes: Wishes, now: Moment) -> Result<Preview, Fault> {
        let options = self.options(name, wishes)?;
        let held = self.holding(name).filter(|held| {
            options
                .iter()
                .any(|option| option.variant == held.variant && option.context_length == held.context_length)
        });
        if let Some(held) = held {
            return Ok(Preview {
                option: held.clone(),
                would_unload: Vec::new(),
                refusal: None,
            });
        }
        for option in &options {
            let mut idle = self.idle(option.device, now);
            idle.retain(|candidate| candidate.model != *name);
            let needed = self.missing(option.device, option.bytes);
            let needed = needed.saturating_sub(self.comes_back(name, option.device));
            if let Some(would_unload) = least(idle, needed) {
                return Ok(Preview {
                    option: option.clone(),
                    would_unload,
                    refusal: None,
                });
            }
        }
        let smallest = options.iter().min_by_key(|option| option.bytes);
        let smallest = smallest.ok_or_else(|| Fault::internal("no device runs models"))?;
        Ok(Preview {
            option: smallest.clone(),
            would_unload: Vec::new(),
            refusal: Some(self.does_not_fit(name, smallest)),
        })
    }

    /// What a model that is loaded otherwise gives back when it is loaded anew, bytes.
    fn comes_back(&self, name: &ModelName, device: Device) -> u64 {
        let record = self.record(name);
        let there = record.filter(|record| record.device() == Some(device) && record.place != Place::Leaving);
        there.map_or(0, Record::reserved)
    }

    /// Why the smallest way to load a model does not fit, with what stays counted.
    pub(super) fn does_not_fit(&self, name: &ModelName, smallest: &LoadOption) -> Fault {
        let Some(accounts) = self.accounts(smallest.device) else {
            return refusals::no_such_device(smallest.device);
        };
        let pinned = self.pinned_beside(name, smallest.device);
        let kept = pinned
            .iter()
            .map(|name| self.reserved(name))
            .fold(0, u64::saturating_add);
        let without_others = Accounts {
            models_bytes: kept,
            ..accounts
        };
        let available = without_others.breakdown().free_bytes;
        refusals::does_not_fit(name, smallest, &accounts.breakdown(), available, &pinned)
    }

    fn pinned_beside(&self, name: &ModelName, device: Device) -> Vec<ModelName> {
        let pinned = self
            .resident()
            .filter(|(other, record)| record.pinned && record.device() == Some(device) && *other != name);
        pinned.map(|(other, _)| other.clone()).collect()
    }
}
