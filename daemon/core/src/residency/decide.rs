//! The next steps, whatever happened.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::hardware::Device;
use crate::lifecycle::{RequestId, UnloadReason};
use crate::memory::display_bytes;
use crate::name::ModelName;
use crate::time::Moment;

use super::demand::{Demand, Wishes};
use super::evict::{Candidate, least};
use super::options::LoadOption;
use super::record::{Facts, Holding, Place, Record};
use super::{Decision, Policy, Residency, refusals};

/// Models that are looked at for a load in one decision; those behind wait for the next.
const LOOKAHEAD: usize = 16;
/// A model somebody else waits for stays at least this share of its load time after its last
/// request, so that a caller with many questions keeps it.
const LINGER_SHARE: u32 = 20;
const SHORTEST_LINGER: Duration = Duration::from_millis(10);
const LONGEST_LINGER: Duration = Duration::from_millis(250);
/// So many times its load time a model may linger.
const RESIDENCE: u32 = 2;

/// One pass over queue and models.
struct Pass<'a> {
    policy: Policy,
    now: Moment,
    /// Indices of the queue, by turn.
    order: Vec<usize>,
    /// Models with memory; all others have none.
    resident: Vec<ModelName>,
    /// Memory that those who come first wait for, bytes.
    claims: BTreeMap<Device, u64>,
    /// Who a model lets nobody in for: the turn of the one who waits for its memory.
    yields: BTreeMap<ModelName, Outranks>,
    decisions: Vec<Decision>,
    residency: &'a mut Residency,
}

/// Somebody who waits for memory, as others in the queue see it.
#[derive(Clone, Copy, Debug)]
struct Outranks {
    aged: bool,
    priority: crate::priority::Priority,
    arrived: Moment,
}

impl Outranks {
    fn new(demand: &Demand, policy: &Policy, now: Moment) -> Self {
        Self {
            aged: demand.is_aged(policy, now),
            priority: demand.priority,
            arrived: demand.arrived,
        }
    }

    /// True if the other one is not let in before this one is served.
    fn over(self, other: &Demand, policy: &Policy, now: Moment) -> bool {
        if self.aged {
            return !other.is_aged(policy, now) || other.arrived > self.arrived;
        }
        self.priority > other.priority && !other.is_aged(policy, now)
    }
}

impl Residency {
    /// What has to be done now. To be asked after everything that happens.
    pub fn decide(&mut self, now: Moment) -> Vec<Decision> {
        let mut order: Vec<usize> = (0..self.queue.len()).collect();
        order.sort_by_key(|&index| self.queue[index].turn(&self.policy, now));
        let resident = self
            .models
            .iter()
            .filter(|(_, record)| record.holding.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        let mut pass = Pass {
            policy: self.policy,
            now,
            order,
            resident,
            claims: BTreeMap::new(),
            yields: BTreeMap::new(),
            decisions: Vec::new(),
            residency: self,
        };
        pass.find_memory();
        pass.let_in();
        pass.expire();
        let decisions = pass.decisions;
        self.forget_decided(&decisions);
        decisions
    }

    fn forget_decided(&mut self, decisions: &[Decision]) {
        let decided: Vec<RequestId> = decisions
            .iter()
            .filter_map(|decision| match decision {
                Decision::Admit { request, .. } | Decision::Refuse { request, .. } => Some(*request),
                Decision::NeedFacts(_)
                | Decision::Load { .. }
                | Decision::Evict { .. }
                | Decision::Trim(_)
                | Decision::WakeAt(_) => None,
            })
            .collect();
        if !decided.is_empty() {
            self.queue.retain(|demand| !decided.contains(&demand.request));
        }
    }
}

/// Those who wait for one model.
struct Group {
    model: ModelName,
    /// By turn; never empty.
    members: Vec<usize>,
}

impl Pass<'_> {
    fn demand(&self, index: usize) -> &Demand {
        &self.residency.queue[index]
    }

    fn model(&self, name: &ModelName) -> Option<&Record> {
        self.residency.record(name)
    }

    /// Those who wait for models without memory, by the turn of the first of each.
    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut known: BTreeMap<&ModelName, usize> = BTreeMap::new();
        for &index in &self.order {
            let model = &self.residency.queue[index].model;
            match known.get(model) {
                Some(&group) => groups[group].members.push(index),
                None => {
                    known.insert(model, groups.len());
                    groups.push(Group {
                        model: model.clone(),
                        members: vec![index],
                    });
                }
            }
        }
        groups
    }

    fn find_memory(&mut self) {
        let mut looked_at = 0;
        for group in self.groups() {
            let Some(place) = self.model(&group.model).map(|record| record.place.clone()) else {
                continue;
            };
            match place {
                Place::Refusing(fault) => {
                    for index in group.members {
                        let request = self.demand(index).request;
                        self.decisions.push(Decision::Refuse {
                            request,
                            fault: fault.clone(),
                        });
                    }
                }
                Place::Unloaded | Place::Leaving if looked_at < LOOKAHEAD => {
                    looked_at += 1;
                    self.find_memory_for(&group, place == Place::Leaving);
                }
                Place::Idle | Place::Loading { .. } | Place::Busy { .. } => {
                    self.honour_wishes(&group, &place)
                }
                Place::Unloaded | Place::Leaving => {}
            }
        }
    }

    /// Somebody wants a loaded model with other options than it has.
    fn honour_wishes(&mut self, group: &Group, place: &Place) {
        for &index in &group.members {
            let demand = self.demand(index);
            let (request, wishes) = (demand.request, demand.wishes);
            let Some(held) = self.residency.holding(&group.model).cloned() else {
                return;
            };
            if agrees(&held, wishes) {
                continue;
            }
            match self.residency.options(&group.model, wishes) {
                Err(fault) => self.decisions.push(Decision::Refuse { request, fault }),
                Ok(_) if *place == Place::Idle => {
                    self.evict(&group.model, UnloadReason::Reloaded);
                    return;
                }
                Ok(_) => self.decisions.push(Decision::Refuse {
                    request,
                    fault: refusals::other_options(&group.model, &held),
                }),
            }
        }
    }

    fn find_memory_for(&mut self, group: &Group, leaving: bool) {
        let Some(record) = self.model(&group.model) else {
            return;
        };
        match &record.facts {
            Facts::Unknown => {
                self.decisions.push(Decision::NeedFacts(group.model.clone()));
                if let Some(record) = self.residency.models.get_mut(&group.model) {
                    record.facts = Facts::Asked;
                }
                return;
            }
            Facts::Asked => return,
            Facts::Broken(fault) => {
                let fault = fault.clone();
                return self.refuse_all(&group.members, &fault);
            }
            Facts::Known(_) => {}
        }
        let members = group.members.iter().map(|&index| self.demand(index).wishes);
        let wishes = members
            .into_iter()
            .find(|wishes| *wishes != Wishes::default())
            .unwrap_or_default();
        let options = match self.residency.options(&group.model, wishes) {
            Ok(options) => options,
            Err(fault) => return self.refuse_all(&group.members, &fault),
        };
        let Some(&first) = group.members.first() else {
            return;
        };
        for option in &options {
            if self.try_option(group, first, option, leaving) {
                return;
            }
        }
        if let Some(smallest) = options.iter().min_by_key(|option| option.bytes) {
            let fault = self.residency.does_not_fit(&group.model, smallest);
            self.refuse_all(&group.members, &fault);
        }
    }

    /// True if the option can be had, now or later; what is needed for it has been decided.
    fn try_option(&mut self, group: &Group, first: usize, option: &LoadOption, leaving: bool) -> bool {
        let device = option.device;
        let free = self.residency.free(device);
        let claimed = self.claims.get(&device).copied().unwrap_or(0);
        let candidates = self.candidates(device, first);
        let coming = self.coming(device);
        let reclaimable: u64 = candidates.all().map(|candidate| candidate.bytes).sum();
        let attainable = free.saturating_add(coming).saturating_add(reclaimable);
        let needs_room = self.model(&group.model).is_some_and(|record| record.needs_room);
        let first_in_line = option.bytes.saturating_add(claimed) <= attainable;
        if option.bytes <= free && first_in_line && !leaving && (!needs_room || candidates.ready.is_empty()) {
            self.load(&group.model, option);
            return true;
        }
        if option.bytes > attainable {
            return false;
        }
        if !self.demand(first).may_evict {
            let fault = refusals::no_room(&group.model);
            self.refuse_all(&group.members, &fault);
            return true;
        }
        *self.claims.entry(device).or_default() += option.bytes;
        let secured = free.saturating_add(coming).saturating_sub(claimed);
        if needs_room {
            for candidate in &candidates.ready {
                self.evict(&candidate.model, UnloadReason::EvictedFor(group.model.clone()));
            }
        } else if option.bytes > secured {
            self.make_room(group, first, option.bytes - secured, candidates);
        }
        true
    }

    fn make_room(&mut self, group: &Group, first: usize, missing: u64, candidates: Candidates) {
        let ready = least(candidates.ready.clone(), missing);
        if let Some(plan) = ready {
            for model in plan {
                self.evict(&model, UnloadReason::EvictedFor(group.model.clone()));
            }
            return;
        }
        let outranks = Outranks::new(self.demand(first), &self.policy, self.now);
        if let Some(moment) = candidates.settled_at {
            self.decisions.push(Decision::WakeAt(moment));
        }
        let plan = least(candidates.all().cloned().collect(), missing).unwrap_or_default();
        for model in plan {
            self.yields.entry(model).or_insert(outranks);
        }
        // Nothing else may happen until it is old enough to be served first.
        let fair = self.demand(first).arrived.plus(self.policy.fair_after);
        if fair > self.now {
            self.decisions.push(Decision::WakeAt(fair));
        }
    }

    /// Memory that is on its way back, bytes.
    fn coming(&self, device: Device) -> u64 {
        self.resident
            .iter()
            .filter_map(|name| self.model(name))
            .filter(|record| record.device() == Some(device) && record.place == Place::Leaving)
            .map(Record::reserved)
            .sum()
    }

    /// What could go for somebody in the queue.
    fn candidates(&self, device: Device, first: usize) -> Candidates {
        let demand = self.demand(first);
        let outranks = Outranks::new(demand, &self.policy, self.now);
        let mut candidates = Candidates::default();
        for name in &self.resident {
            let Some(record) = self.model(name) else { continue };
            if record.device() != Some(device) || record.pinned || *name == demand.model {
                continue;
            }
            let mut waiting = self.residency.queue.iter().filter(|other| other.model == *name);
            let held = waiting.any(|other| !outranks.over(other, &self.policy, self.now));
            let wanted = held || self.residency.queue.iter().any(|other| other.model == *name);
            let candidate = Candidate::new(name, record, wanted, self.now);
            match &record.place {
                Place::Idle if !held => match self.settles(record, demand) {
                    Some(moment) => {
                        let soonest = candidates.settled_at.map_or(moment, |at: Moment| at.min(moment));
                        candidates.settled_at = Some(soonest);
                        candidates.later.push(candidate);
                    }
                    None => candidates.ready.push(candidate),
                },
                Place::Idle | Place::Busy { .. } | Place::Loading { .. } => candidates.later.push(candidate),
                Place::Leaving | Place::Unloaded | Place::Refusing(_) => {}
            }
        }
        candidates
    }

    /// Until when an idle model is left to its callers although somebody waits for its memory;
    /// `None` if it may go. Two callers who take turns would otherwise have the models swapped at
    /// every single request.
    fn settles(&self, record: &Record, demand: &Demand) -> Option<Moment> {
        if demand.is_aged(&self.policy, self.now) || demand.arrived >= record.idle_since {
            return None;
        }
        let load = record.load_time().unwrap_or_default();
        let residence = (load * RESIDENCE).min(self.policy.fair_after / 2);
        let linger = (load / LINGER_SHARE).clamp(SHORTEST_LINGER, LONGEST_LINGER);
        let until = record
            .idle_since
            .plus(linger)
            .min(record.loaded_at.plus(residence));
        (until > self.now).then_some(until)
    }

    fn load(&mut self, name: &ModelName, option: &LoadOption) {
        if let Some(record) = self.residency.models.get_mut(name) {
            record.place = Place::Loading { waiting: 0 };
            record.holding = Some(Holding {
                option: option.clone(),
                measured: 0,
            });
        }
        self.resident.push(name.clone());
        self.decisions.push(Decision::Load {
            model: name.clone(),
            option: option.clone(),
        });
    }

    fn evict(&mut self, name: &ModelName, reason: UnloadReason) {
        if let Some(record) = self.residency.models.get_mut(name) {
            record.place = Place::Leaving;
        }
        self.decisions.push(Decision::Evict {
            model: name.clone(),
            reason,
        });
    }

    fn refuse_all(&mut self, members: &[usize], fault: &crate::error::Fault) {
        for &index in members {
            let request = self.demand(index).request;
            self.decisions.push(Decision::Refuse {
                request,
                fault: fault.clone(),
            });
        }
    }

    /// Requests for models that are there or on their way.
    fn let_in(&mut self) {
        for index in self.order.clone() {
            let demand = self.demand(index).clone();
            if self.is_refused(demand.request) {
                continue;
            }
            let capacity = self.policy.capacity;
            let yields = self.yields.get(&demand.model).copied();
            if yields.is_some_and(|outranks| outranks.over(&demand, &self.policy, self.now)) {
                continue;
            }
            let Some(record) = self.residency.models.get_mut(&demand.model) else {
                continue;
            };
            let admitted = match &mut record.place {
                Place::Loading { waiting } if *waiting < capacity => {
                    *waiting += 1;
                    true
                }
                Place::Idle => {
                    record.place = Place::Busy {
                        active: 1,
                        leaving: false,
                    };
                    true
                }
                Place::Busy {
                    active,
                    leaving: false,
                } if *active < capacity => {
                    *active += 1;
                    true
                }
                Place::Loading { .. }
                | Place::Busy { .. }
                | Place::Unloaded
                | Place::Refusing(_)
                | Place::Leaving => false,
            };
            if admitted {
                self.decisions.push(Decision::Admit {
                    request: demand.request,
                    model: demand.model,
                });
            }
        }
    }

    fn is_refused(&self, request: RequestId) -> bool {
        self.decisions.iter().any(
            |decision| matches!(decision, Decision::Refuse { request: refused, .. } if *refused == request),
        )
    }

    /// Who has waited for as long as they said.
    fn expire(&mut self) {
        let mut next: Option<Moment> = None;
        let mut late = Vec::new();
        for demand in &self.residency.queue {
            let Some(deadline) = demand.deadline else { continue };
            if deadline > self.now {
                next = Some(next.map_or(deadline, |at| at.min(deadline)));
            } else if !self.is_decided(demand.request) {
                late.push((
                    demand.request,
                    self.now.since(demand.arrived),
                    demand.model.clone(),
                ));
            }
        }
        for (request, waited, model) in late {
            let reason = self.residency.why_waiting(&model);
            let fault = refusals::too_late(waited, &reason);
            self.decisions.push(Decision::Refuse { request, fault });
        }
        self.decisions.extend(next.map(Decision::WakeAt));
    }

    fn is_decided(&self, request: RequestId) -> bool {
        self.is_refused(request)
            || self.decisions.iter().any(
                |decision| matches!(decision, Decision::Admit { request: admitted, .. } if *admitted == request),
            )
    }
}

/// What could go for somebody: at once, and in time.
#[derive(Clone, Debug, Default)]
struct Candidates {
    ready: Vec<Candidate>,
    later: Vec<Candidate>,
    /// When the first of `later` may go if nothing happens.
    settled_at: Option<Moment>,
}

impl Candidates {
    fn all(&self) -> impl Iterator<Item = &Candidate> {
        self.ready.iter().chain(&self.later)
    }
}

fn agrees(held: &LoadOption, wishes: Wishes) -> bool {
    wishes.level.is_none_or(|level| level == held.level)
        && wishes
            .context_length
            .is_none_or(|length| length == held.context_length)
}

impl Residency {
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
            Place::Unloaded => {
                let bytes = self
                    .options(name, Wishes::default())
                    .ok()
                    .and_then(|options| options.first().map(|option| option.bytes));
                let needs = bytes.map_or_else(String::new, |bytes| format!(" for {}", display_bytes(bytes)));
                let busy = self.busy();
                if busy.is_empty() {
                    format!("it waits{needs}")
                } else {
                    format!("it waits{needs}, in use: {}", refusals::list(&busy))
                }
            }
        }
    }

    pub(super) fn busy(&self) -> Vec<ModelName> {
        let busy = self.models.iter().filter(|(_, record)| record.active() > 0);
        busy.map(|(name, _)| name.clone()).collect()
    }
}
