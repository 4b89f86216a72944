//! What goes when memory is needed: the least that suffices, and of that what costs least.

use std::cmp::Ordering;
use std::time::Duration;

use crate::hardware::Device;
use crate::lifecycle::UnloadReason;
use crate::name::ModelName;
use crate::time::Moment;

use super::record::{Place, Record};
use super::{Decision, Residency};

/// Assumed of a model whose load was never timed.
const USUAL_LOAD_TIME: Duration = Duration::from_secs(2);

/// A model that could go.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) model: ModelName,
    pub(super) bytes: u64,
    rank: u8,
    /// Somebody waits for it.
    wanted: bool,
    /// It is in use, so it can go only later.
    busy: bool,
    /// How long it takes until it is asked for again, over the time to load it again: the
    /// higher, the better to lose.
    dispensable: f64,
    loaded_at: Moment,
}

impl Candidate {
    pub(super) fn new(model: &ModelName, record: &Record, wanted: bool, now: Moment) -> Self {
        let idle = record.place == Place::Idle;
        let load = record.load_time().unwrap_or(USUAL_LOAD_TIME).as_secs_f64();
        Self {
            model: model.clone(),
            bytes: record.reserved(),
            rank: record.rank,
            wanted: wanted && idle,
            busy: !idle,
            dispensable: record.usual_gap(now).as_secs_f64() / load.max(0.001),
            loaded_at: record.loaded_at,
        }
    }

    /// Greater if it is needed less than the other one, whatever they are doing.
    pub(super) fn is_needed_less(&self, other: &Self) -> Ordering {
        let by_rank = other.rank.cmp(&self.rank);
        by_rank.then_with(|| self.dispensable.total_cmp(&other.dispensable))
    }

    /// What goes first comes first. Of those in use: the oldest, so that the one somebody waits
    /// for does not change from look to look.
    fn goes_before(&self, other: &Self) -> Ordering {
        let by_state = (self.busy, self.rank, self.wanted).cmp(&(other.busy, other.rank, other.wanted));
        let by_need = || {
            if self.busy {
                self.loaded_at.cmp(&other.loaded_at)
            } else {
                other.dispensable.total_cmp(&self.dispensable)
            }
        };
        by_state
            .then_with(by_need)
            .then_with(|| self.model.cmp(&other.model))
    }
}

/// The models to unload so that `needed` bytes come free; `None` if all together are too few.
///
/// Of lower rank first, then those nobody waits for, then the most dispensable. None of the
/// result can be left out.
pub(super) fn least(mut candidates: Vec<Candidate>, needed: u64) -> Option<Vec<ModelName>> {
    candidates.sort_by(Candidate::goes_before);
    let mut freed = 0_u64;
    let mut taken = Vec::new();
    for candidate in candidates {
        if freed >= needed {
            break;
        }
        freed = freed.saturating_add(candidate.bytes);
        taken.push(candidate);
    }
    if freed < needed {
        return None;
    }
    for index in (0..taken.len()).rev() {
        if freed - taken[index].bytes >= needed {
            freed -= taken.remove(index).bytes;
        }
    }
    Some(taken.into_iter().map(|candidate| candidate.model).collect())
}

impl Residency {
    /// Memory that is on its way back, bytes.
    pub(super) fn coming(&self, device: Device) -> u64 {
        self.resident()
            .filter(|(_, record)| record.device() == Some(device) && record.place == Place::Leaving)
            .map(|(_, record)| record.reserved())
            .fold(0, u64::saturating_add)
    }

    /// Models on a device that could go now, for somebody who does not wait in the queue.
    pub(super) fn idle(&self, device: Device, now: Moment) -> Vec<Candidate> {
        let idle = self.resident().filter(|(_, record)| {
            record.device() == Some(device) && record.place == Place::Idle && !record.pinned
        });
        idle.map(|(name, record)| Candidate::new(name, record, self.waiting_for(name) > 0, now))
            .collect()
    }

    /// The system runs short of a device's memory: idle models first give back what can be
    /// computed again, and go, oldest first, when that was not enough.
    #[must_use]
    pub fn pressure(&mut self, device: Device, shortage: u64) -> Vec<Decision> {
        let coming = self.coming(device);
        let mut idle: Vec<(&ModelName, &mut Record)> = self
            .models
            .iter_mut()
            .filter(|(_, record)| {
                record.device() == Some(device) && record.place == Place::Idle && !record.pinned
            })
            .collect();
        idle.sort_by_key(|(_, record)| record.idle_since);
        let untrimmed: Vec<Decision> = idle
            .iter_mut()
            .filter_map(|(name, record)| {
                let trimmed = std::mem::replace(&mut record.trimmed, true);
                (!trimmed).then(|| Decision::Trim((*name).clone()))
            })
            .collect();
        if !untrimmed.is_empty() {
            return untrimmed;
        }
        let shortage = shortage.saturating_sub(coming);
        let mut freed = 0_u64;
        let mut going = Vec::new();
        for (name, record) in idle {
            if freed >= shortage {
                break;
            }
            freed = freed.saturating_add(record.reserved());
            going.push(Decision::Evict {
                model: name.clone(),
                reason: UnloadReason::MemoryPressure,
            });
        }
        going
    }

    /// Models that go because there are more than the budget allows: it was lowered, or one took
    /// more than was set aside for it. With `spare_the_last`, one that is alone stays, though it
    /// is too large: it was loaded because somebody wants it.
    #[must_use]
    pub fn over_budget(&self, device: Device, spare_the_last: bool, now: Moment) -> Vec<Decision> {
        let Some(accounts) = self.accounts(device) else {
            return Vec::new();
        };
        let allowed = accounts.budget.of(accounts.reading.total_bytes);
        let ours = accounts.models_bytes.saturating_add(accounts.reserved_bytes);
        let there = self
            .models
            .values()
            .filter(|record| record.device() == Some(device));
        let leaving = there.clone().filter(|record| record.place == Place::Leaving);
        let coming = leaving.map(Record::reserved).fold(0, u64::saturating_add);
        let over = ours.saturating_sub(coming).saturating_sub(allowed);
        let staying = there.filter(|record| record.place != Place::Leaving).count();
        if over == 0 || (spare_the_last && staying <= 1) {
            return Vec::new();
        }
        let mut idle = self.idle(device, now);
        if spare_the_last {
            let latest = self
                .models
                .iter()
                .filter(|(_, record)| record.place == Place::Idle);
            let latest = latest
                .max_by_key(|(_, record)| record.idle_since)
                .map(|(name, _)| name);
            idle.retain(|candidate| Some(&candidate.model) != latest);
        }
        let all = idle
            .iter()
            .map(|candidate| candidate.bytes)
            .fold(0, u64::saturating_add);
        let going = least(idle, over.min(all)).unwrap_or_default();
        going
            .into_iter()
            .map(|model| Decision::Evict {
                model,
                reason: UnloadReason::MemoryPressure,
            })
            .collect()
    }

    /// Everything idle goes; pinned models too if asked for.
    #[must_use]
    pub fn free_all(&self, pinned: bool) -> Vec<(ModelName, u64)> {
        let idle = self
            .resident()
            .filter(|(_, record)| record.place == Place::Idle && (pinned || !record.pinned));
        idle.map(|(name, record)| (name.clone(), record.reserved()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(name: &str, bytes: u64, rank: u8, wanted: bool, dispensable: f64) -> Candidate {
        Candidate {
            model: ModelName::new(name).unwrap(),
            bytes,
            rank,
            wanted,
            busy: false,
            dispensable,
            loaded_at: Moment::default(),
        }
    }

    fn names(plan: Option<Vec<ModelName>>) -> Option<Vec<String>> {
        plan.map(|plan| plan.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_least_dispensable_stays() {
        let models = || {
            vec![
                candidate("old", 4, 0, false, 100.0),
                candidate("new", 4, 0, false, 1.0),
                candidate("wanted", 4, 0, true, 500.0),
                candidate("favourite", 4, 1, false, 900.0),
            ]
        };
        assert_eq!(names(least(models(), 4)), Some(vec!["old".into()]));
        assert_eq!(names(least(models(), 8)), Some(vec!["old".into(), "new".into()]));
        assert_eq!(
            names(least(models(), 12)),
            Some(vec!["old".into(), "new".into(), "wanted".into()])
        );
        assert_eq!(names(least(models(), 17)), None);
        assert_eq!(names(least(models(), 0)), Some(vec![]));
    }

    #[test]
    fn what_a_larger_one_makes_needless_stays() {
        let models = vec![
            candidate("small", 1, 0, false, 9.0),
            candidate("large", 8, 0, false, 1.0),
        ];
        assert_eq!(names(least(models, 8)), Some(vec!["large".into()]));
    }

    proptest! {
        #[test]
        fn a_plan_suffices_and_nothing_of_it_can_be_left_out(
            sizes in proptest::collection::vec((0..50_u64, 0..3_u8, any::<bool>(), 0.0..9.0_f64), 0..12),
            needed in 0..200_u64,
        ) {
            let models: Vec<Candidate> = sizes
                .iter()
                .enumerate()
                .map(|(index, (bytes, rank, wanted, score))| {
                    candidate(&format!("m{index}"), *bytes, *rank, *wanted, *score)
                })
                .collect();
            let total: u64 = models.iter().map(|model| model.bytes).sum();
            let size = |name: &ModelName| models.iter().find(|model| model.model == *name).unwrap().bytes;
            match least(models.clone(), needed) {
                None => prop_assert!(total < needed),
                Some(plan) => {
                    let freed: u64 = plan.iter().map(size).sum();
                    prop_assert!(freed >= needed);
                    for name in &plan {
                        prop_assert!(freed - size(name) < needed, "{name} could stay");
                    }
                }
            }
        }
    }
}
