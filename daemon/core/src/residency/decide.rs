//! The next steps, whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Fault;
use crate::lifecycle::{RequestId, UnloadReason};
use crate::name::ModelName;
use crate::time::Moment;

use super::demand::{Demand, Wishes};
use super::options::LoadOption;
use super::record::{Facts, Holding, Place};
use super::room::Claim;
use super::turn::Standing;
use super::{Decision, Residency, refusals};

/// Models that memory is sought for in one decision; those behind wait for the next.
const LOOKAHEAD: usize = 16;

/// One pass over queue and models.
pub(super) struct Pass<'a> {
    pub(super) now: Moment,
    pub(super) queue: &'a [Demand],
    /// Of each request in the queue.
    pub(super) standings: Vec<Standing>,
    /// Of each request in the queue: true once it is let in or refused.
    answered: Vec<bool>,
    /// Indices of the queue, by turn.
    pub(super) order: Vec<usize>,
    /// By the turn of the first of each.
    groups: Vec<Group<'a>>,
    /// Which of the groups waits for a model.
    group_of: BTreeMap<&'a ModelName, usize>,
    /// The standing of the first of each group.
    firsts: Vec<Standing>,
    /// Memory that is spoken for by those who come first.
    pub(super) claims: Vec<Claim>,
    /// Models that are to go once they are idle, and for whom.
    pub(super) promised: BTreeMap<ModelName, Standing>,
    decisions: Vec<Decision>,
    wake: Option<Moment>,
    pub(super) residency: &'a mut Residency,
}

/// Those who wait for one model.
#[derive(Clone, Debug)]
struct Group<'a> {
    model: &'a ModelName,
    /// By turn; never empty.
    members: Vec<usize>,
}

/// What came of the search for memory.
pub(super) enum Found {
    /// It is loaded, or will be; what that takes has been decided.
    Settled,
    /// None of the ways to load it fits, whatever goes.
    Nothing(Fault),
    /// Others would have to go, and nobody who wants it may ask for that.
    OnlyByEvicting,
}

impl Residency {
    /// What has to be done now. To be asked after everything that happens.
    ///
    /// Every [`Decision::Load`] is followed by the [`Decision::Admit`] of who it is for, and a
    /// [`Decision::WakeAt`] is always later than `now`.
    pub fn decide(&mut self, now: Moment) -> Vec<Decision> {
        let mut queue = std::mem::take(&mut self.queue);
        let displaced = std::mem::take(&mut self.displaced);
        let mut pass = Pass::new(self, &queue, now);
        pass.tell_the_displaced(displaced);
        pass.expire();
        pass.group();
        pass.find_memory();
        pass.let_in();
        pass.wake_when_somebody_ages();
        let Pass {
            decisions, answered, ..
        } = pass;
        let mut answered = answered.into_iter();
        queue.retain(|_| answered.next() == Some(false));
        self.queue = queue;
        decisions
    }
}

impl<'a> Pass<'a> {
    fn new(residency: &'a mut Residency, queue: &'a [Demand], now: Moment) -> Self {
        let policy = residency.policy;
        let standings: Vec<Standing> = queue
            .iter()
            .map(|demand| Standing::new(demand, &policy, now))
            .collect();
        let mut order: Vec<usize> = (0..queue.len()).collect();
        order.sort_by_key(|&index| standings[index].turn());
        Self {
            now,
            queue,
            standings,
            answered: vec![false; queue.len()],
            order,
            groups: Vec::new(),
            group_of: BTreeMap::new(),
            firsts: Vec::new(),
            claims: Vec::new(),
            promised: BTreeMap::new(),
            decisions: Vec::new(),
            wake: None,
            residency,
        }
    }

    fn tell_the_displaced(&mut self, displaced: Vec<(RequestId, Fault)>) {
        let refused = displaced
            .into_iter()
            .map(|(request, fault)| Decision::Refuse { request, fault });
        self.decisions.extend(refused);
    }

    /// Who has waited for as long as they said.
    fn expire(&mut self) {
        for index in 0..self.queue.len() {
            let demand = &self.queue[index];
            let Some(deadline) = demand.deadline else { continue };
            // A look at the files is nobody's turn; its time is given back when it ends.
            if self.residency.facts_known(&demand.model) == Ok(false) {
                continue;
            }
            if deadline > self.now {
                self.wake_at(deadline);
                continue;
            }
            let reason = self.residency.why_waiting(&demand.model);
            let fault = refusals::too_late(self.now.since(demand.arrived), &reason);
            self.refuse(index, fault);
        }
    }

    fn group(&mut self) {
        for &index in &self.order {
            if self.answered[index] {
                continue;
            }
            let model = &self.queue[index].model;
            if let Some(&group) = self.group_of.get(model) {
                self.groups[group].members.push(index);
                continue;
            }
            self.group_of.insert(model, self.groups.len());
            self.firsts.push(self.standings[index]);
            self.groups.push(Group {
                model,
                members: vec![index],
            });
        }
    }

    fn find_memory(&mut self) {
        let mut sought = 0;
        for group in std::mem::take(&mut self.groups) {
            let Some(record) = self.residency.models.get_mut(group.model) else {
                self.refuse_all(&group.members, &refusals::not_installed(group.model));
                continue;
            };
            match (&record.place, &mut record.facts) {
                (Place::Refusing(fault), _) => {
                    let fault = fault.clone();
                    self.refuse_all(&group.members, &fault);
                }
                (Place::Loading { .. } | Place::Busy { .. } | Place::Idle, _) => self.honour_wishes(&group),
                (Place::Unloaded | Place::Leaving, facts @ Facts::Unknown) => {
                    *facts = Facts::Asked;
                    self.decisions.push(Decision::NeedFacts(group.model.clone()));
                }
                (Place::Unloaded | Place::Leaving, facts @ Facts::Broken(_)) => {
                    // Whoever comes next has the files looked at anew: they may be mended by then.
                    if let Facts::Broken(fault) = std::mem::replace(facts, Facts::Unknown) {
                        self.refuse_all(&group.members, &fault);
                    }
                }
                (Place::Unloaded | Place::Leaving, Facts::Known(_)) if sought < LOOKAHEAD => {
                    sought += 1;
                    self.find_memory_for(&group);
                }
                (Place::Unloaded | Place::Leaving, Facts::Asked | Facts::Known(_)) => {}
            }
        }
    }

    /// Somebody wants a model that is there with other options than it has.
    fn honour_wishes(&mut self, group: &Group<'_>) {
        let Some(record) = self.residency.record(group.model) else {
            return;
        };
        // Of one that is about to go, those who wait get a new load anyway.
        let (Some(holding), Some(_)) = (&record.holding, record.guests()) else {
            return;
        };
        let idle = record.place == Place::Idle;
        let held = holding.option.clone();
        for &index in &group.members {
            let wishes = self.queue[index].wishes;
            if agrees(&held, wishes) {
                continue;
            }
            match self.residency.options(group.model, wishes) {
                Err(fault) => self.refuse(index, fault),
                Ok(options) if idle => match self.no_reload(group.model, &options, index) {
                    Some(fault) => self.refuse(index, fault),
                    None => return self.evict(group.model, UnloadReason::Reloaded),
                },
                Ok(_) => self.refuse(index, refusals::other_options(group.model, &held)),
            }
        }
    }

    /// Why a model is not loaded anew with other options, if it is not: it would be gone for nothing.
    fn no_reload(&self, name: &ModelName, options: &[LoadOption], index: usize) -> Option<Fault> {
        if !self.queue[index].may_evict {
            return Some(refusals::no_room(name));
        }
        let room = |device| {
            let others = self.residency.idle(device, self.now).into_iter();
            let others = others.filter(|candidate| candidate.model != *name);
            let idle = others.fold(0, |sum: u64, candidate| sum.saturating_add(candidate.bytes));
            let own = self.residency.reserved(name);
            self.residency
                .free(device)
                .saturating_add(own)
                .saturating_add(idle)
        };
        if options.iter().any(|option| option.bytes <= room(option.device)) {
            return None;
        }
        let smallest = options.iter().min_by_key(|option| option.bytes)?;
        Some(self.residency.does_not_fit(name, smallest))
    }

    /// Wishes that cannot be granted concern only those who have them.
    fn find_memory_for(&mut self, group: &Group<'_>) {
        let mut members = group.members.clone();
        while !members.is_empty() {
            let wishes = self.wishes_of(&members);
            let found = match self.residency.options(group.model, wishes) {
                Ok(options) => self.find_room(group.model, &members, &options),
                Err(fault) => Found::Nothing(fault),
            };
            match found {
                Found::Settled => return,
                Found::Nothing(fault) => {
                    members.retain(|&index| {
                        let same = self.queue[index].wishes == wishes;
                        if same {
                            self.refuse(index, fault.clone());
                        }
                        !same
                    });
                }
                Found::OnlyByEvicting => {
                    return self.refuse_all(&members, &refusals::no_room(group.model));
                }
            }
        }
    }

    /// The first wishes that are any.
    fn wishes_of(&self, members: &[usize]) -> Wishes {
        let wishes = members.iter().map(|&index| self.queue[index].wishes);
        let mut any = wishes.filter(|wishes| *wishes != Wishes::default());
        any.next().unwrap_or_default()
    }

    pub(super) fn load(&mut self, name: &ModelName, option: &LoadOption, first: usize) {
        self.residency.resident.insert(name.clone());
        if let Some(record) = self.residency.models.get_mut(name) {
            record.place = Place::Loading { waiting: 0 };
            record.holding = Some(Holding {
                option: option.clone(),
                measured: 0,
            });
        }
        self.decisions.push(Decision::Load {
            model: name.clone(),
            option: option.clone(),
        });
        self.admit(first);
    }

    pub(super) fn evict(&mut self, name: &ModelName, reason: UnloadReason) {
        if let Some(record) = self.residency.models.get_mut(name) {
            record.leaves(&reason);
        }
        self.decisions.push(Decision::Evict {
            model: name.clone(),
            reason,
        });
    }

    /// Requests for models that are there or on their way.
    fn let_in(&mut self) {
        let mut boarding = BTreeSet::new();
        for position in 0..self.order.len() {
            let index = self.order[position];
            let model = &self.queue[index].model;
            if self.answered[index] || !self.has_place(index) {
                continue;
            }
            // Once one is let in, those who wait beside it come along: together they keep the
            // model hardly longer than one alone, and each would need a load of its own later.
            if boarding.contains(model) || !self.is_kept_out(index) {
                self.admit(index);
                boarding.insert(model);
            }
        }
    }

    /// True if the model can take the request.
    fn has_place(&self, index: usize) -> bool {
        let demand = &self.queue[index];
        let Some(record) = self.residency.record(&demand.model) else {
            return false;
        };
        let agrees = record
            .holding
            .as_ref()
            .is_some_and(|holding| agrees(&holding.option, demand.wishes));
        let capacity = self.residency.policy.capacity.max(1);
        agrees && record.guests().is_some_and(|guests| guests < capacity)
    }

    /// True if the model lets the request not in because somebody before it waits for its memory.
    fn is_kept_out(&self, index: usize) -> bool {
        let model = &self.queue[index].model;
        let loading = self
            .residency
            .record(model)
            .is_some_and(|record| matches!(record.place, Place::Loading { .. }));
        let promised = self.promised.get(model);
        !loading && promised.is_some_and(|standing| standing.outranks(self.standings[index]))
    }

    fn admit(&mut self, index: usize) {
        let demand = &self.queue[index];
        if let Some(record) = self.residency.models.get_mut(&demand.model) {
            record.admit(demand.arrived);
        }
        self.residency.clients.serve(demand.start);
        self.answered[index] = true;
        self.decisions.push(Decision::Admit {
            request: demand.request,
            model: demand.model.clone(),
        });
    }

    fn refuse(&mut self, index: usize, fault: Fault) {
        self.answered[index] = true;
        self.decisions.push(Decision::Refuse {
            request: self.queue[index].request,
            fault,
        });
    }

    fn refuse_all(&mut self, members: &[usize], fault: &Fault) {
        for &index in members {
            self.refuse(index, fault.clone());
        }
    }

    /// The first of those who wait for a model, before anybody was let in.
    pub(super) fn first_for(&self, model: &ModelName) -> Option<Standing> {
        let group = self.group_of.get(model)?;
        self.firsts.get(*group).copied()
    }

    pub(super) fn wake_at(&mut self, moment: Moment) {
        // At the end of time nothing comes later.
        if moment > self.now {
            self.wake = Some(self.wake.map_or(moment, |wake| wake.min(moment)));
        }
    }

    /// Who has aged may change whose turn it is without anything else happening.
    fn wake_when_somebody_ages(&mut self) {
        let waiting = self.standings.iter().zip(&self.answered);
        let ages = waiting
            .filter(|(standing, answered)| !standing.aged && !**answered)
            .map(|(standing, _)| standing.arrived.plus(self.residency.policy.fair_after))
            .min();
        if let Some(moment) = ages {
            self.wake_at(moment);
        }
        self.decisions.extend(self.wake.map(Decision::WakeAt));
    }
}

fn agrees(held: &LoadOption, wishes: Wishes) -> bool {
    wishes.level.is_none_or(|level| level == held.level)
        && wishes
            .context_length
            .is_none_or(|length| length == held.context_length)
}
