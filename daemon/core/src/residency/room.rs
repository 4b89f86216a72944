//! Where the memory for a load comes from.

use std::time::Duration;

use crate::hardware::Device;
use crate::lifecycle::UnloadReason;
use crate::memory::DeviceClass;
use crate::name::ModelName;
use crate::priority::Priority;
use crate::time::Moment;

use super::decide::{Found, Pass};
use super::evict::{Candidate, least};
use super::options::LoadOption;
use super::record::{Place, Record};
use super::turn::Standing;

/// A model somebody else waits for stays at least this share of its load time after its last
/// request, so that a caller with many questions keeps it.
const LINGER_SHARE: u32 = 20;
const SHORTEST_LINGER: Duration = Duration::from_millis(10);
const LONGEST_LINGER: Duration = Duration::from_millis(250);
/// So many times its load time a model may linger.
const RESIDENCE: u32 = 2;

/// Nobody is asked to wait longer than that, and than the own load takes, for a better moment.
const LONGEST_PATIENCE: Duration = Duration::from_secs(5);

/// Memory that somebody who comes first has been promised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    device: Device,
    bytes: u64,
    /// Set if it counts only against those this one outranks: what it waits for may take long,
    /// and until it has aged others may use meanwhile what it cannot use yet.
    of: Option<Standing>,
}

/// One device's memory, as somebody in the queue sees it.
#[derive(Clone, Debug, Default)]
struct Room {
    device: Device,
    free: u64,
    /// On its way back.
    coming: u64,
    /// By how much there is too little even now.
    overdraft: u64,
    /// Promised to those who come first.
    claimed: u64,
    /// Had by models that can ever be asked to go.
    reclaimable: u64,
    /// A model is being loaded there.
    loading: bool,
    /// Models that may go now.
    ready: Vec<Candidate>,
    /// Models that may go later.
    later: Vec<Candidate>,
    /// When the first of `later` may go if nothing happens.
    settled_at: Option<Moment>,
}

impl Room {
    /// What can be had without anybody being asked to go.
    fn secured(&self) -> u64 {
        self.free
            .saturating_add(self.coming)
            .saturating_sub(self.overdraft)
            .saturating_sub(self.claimed)
    }

    /// What can be had once all that may ever go has gone.
    fn attainable(&self) -> u64 {
        self.free
            .saturating_add(self.coming)
            .saturating_add(self.reclaimable)
            .saturating_sub(self.overdraft)
    }

    /// What has to be unloaded for so many bytes.
    fn missing(&self, bytes: u64) -> u64 {
        bytes
            .saturating_add(self.claimed)
            .saturating_add(self.overdraft)
            .saturating_sub(self.free)
            .saturating_sub(self.coming)
    }
}

/// Who memory is sought for.
struct Seeker<'a> {
    model: &'a ModelName,
    /// Whose turn it is.
    first: usize,
    standing: Standing,
    may_evict: bool,
    /// It is still on its way out.
    leaving: bool,
    /// Its last load died of memory.
    needs_room: bool,
}

impl Pass<'_> {
    /// Finds the best way to load a model that can be had at all, and decides what it takes.
    pub(super) fn find_room(
        &mut self,
        model: &ModelName,
        members: &[usize],
        options: &[LoadOption],
    ) -> Found {
        let Some(seeker) = self.seeker(model, members) else {
            return Found::Settled;
        };
        let mut rooms: Vec<Room> = Vec::new();
        for option in options {
            if !rooms.iter().any(|room| room.device == option.device) {
                rooms.push(self.room(option.device, &seeker));
            }
        }
        let room_of = |option: &LoadOption| rooms.iter().find(|room| room.device == option.device);
        let attainable: Vec<(&LoadOption, &Room)> = options
            .iter()
            .filter_map(|option| Some((option, room_of(option)?)))
            .filter(|(option, room)| option.bytes <= room.attainable())
            .collect();
        let Some((best, _)) = attainable.first() else {
            let smallest = options.iter().min_by_key(|option| option.bytes);
            return smallest.map_or(Found::Settled, |smallest| {
                Found::Nothing(self.residency.does_not_fit(model, smallest))
            });
        };
        let class = DeviceClass::from(best.device);
        let as_good = attainable
            .iter()
            .filter(|(option, _)| option.level == best.level && DeviceClass::from(option.device) == class);
        self.take_room(&seeker, &as_good.copied().collect::<Vec<_>>())
    }

    fn seeker<'b>(&self, model: &'b ModelName, members: &[usize]) -> Option<Seeker<'b>> {
        let record = self.residency.record(model)?;
        let mut bold = members.iter().filter(|&&index| self.queue[index].may_evict);
        let bold = bold.next();
        let first = *members.first()?;
        Some(Seeker {
            model,
            first,
            standing: self.standings[*bold.unwrap_or(&first)],
            may_evict: bold.is_some(),
            leaving: record.place == Place::Leaving,
            needs_room: record.needs_room,
        })
    }

    /// Of options that are as good as each other: the one that takes least from others.
    fn take_room(&mut self, seeker: &Seeker<'_>, ways: &[(&LoadOption, &Room)]) -> Found {
        let Some((best, room)) = ways.first() else {
            return Found::Settled;
        };
        if seeker.needs_room && !(room.ready.is_empty() && room.coming == 0) {
            return self.clear(seeker, room);
        }
        let fits = |(option, room): &&(&LoadOption, &Room)| option.bytes <= room.secured();
        let at_once = |way: &&(&LoadOption, &Room)| fits(way) && way.0.bytes <= way.1.free;
        if let Some((option, _)) = ways.iter().find(at_once).filter(|_| !seeker.leaving) {
            self.load(seeker.model, option, seeker.first);
            return Found::Settled;
        }
        if let Some((option, room)) = ways.iter().find(fits) {
            self.claim(room.device, option.bytes, None);
            return Found::Settled;
        }
        if !seeker.may_evict {
            return Found::OnlyByEvicting;
        }
        if let Some(moment) = self.holds_back(seeker, room) {
            self.wake_at(moment);
            self.wait(seeker, best, room);
            return Found::Settled;
        }
        for (option, room) in ways {
            if let Some(plan) = least(room.ready.clone(), room.missing(option.bytes)) {
                self.evict_for(seeker, plan);
                self.claim(room.device, option.bytes, None);
                return Found::Settled;
            }
        }
        self.wait(seeker, best, room);
        Found::Settled
    }

    /// Until when nobody is asked to go although somebody could.
    ///
    /// While another model is loaded on the same device, a further load would slow down both; and
    /// while one is in use that is needed less than those which are idle, it is the better one to
    /// lose. Whoever waits that long often shares the load with others who want the same. Never
    /// for long, and not while a person waits.
    fn holds_back(&self, seeker: &Seeker<'_>, room: &Room) -> Option<Moment> {
        if seeker.standing.aged || seeker.standing.priority == Priority::Interactive {
            return None;
        }
        let load = self.residency.record(seeker.model)?.load_time()?;
        let patience = load
            .min(LONGEST_PATIENCE)
            .min(self.residency.policy.fair_after / 2);
        let until = seeker.standing.arrived.plus(patience);
        let better_later = || {
            let idle = room.ready.iter().max_by(|a, b| a.is_needed_less(b));
            idle.is_some_and(|idle| {
                let mut later = room.later.iter();
                later.any(|candidate| candidate.is_needed_less(idle).is_gt())
            })
        };
        (until > self.now && (room.loading || room.coming > 0 || better_later())).then_some(until)
    }

    /// After a load that died of memory: everything idle goes, and nobody takes its place.
    fn clear(&mut self, seeker: &Seeker<'_>, room: &Room) -> Found {
        if !seeker.may_evict && !room.ready.is_empty() {
            return Found::OnlyByEvicting;
        }
        let idle = room.ready.iter().map(|candidate| candidate.model.clone());
        self.evict_for(seeker, idle.collect());
        self.claim(room.device, u64::MAX, None);
        Found::Settled
    }

    fn evict_for(&mut self, seeker: &Seeker<'_>, plan: Vec<ModelName>) {
        for model in plan {
            self.evict(&model, UnloadReason::EvictedFor(seeker.model.clone()));
        }
    }

    /// Some of what it needs is in use.
    fn wait(&mut self, seeker: &Seeker<'_>, option: &LoadOption, room: &Room) {
        if let Some(moment) = room.settled_at {
            self.wake_at(moment);
        }
        self.claim(
            room.device,
            option.bytes.min(room.secured()),
            Some(seeker.standing),
        );
        let all = room.ready.iter().chain(&room.later).cloned().collect();
        for model in least(all, room.missing(option.bytes)).unwrap_or_default() {
            self.promised.entry(model).or_insert(seeker.standing);
        }
    }

    fn claim(&mut self, device: Device, bytes: u64, of: Option<Standing>) {
        self.claims.push(Claim { device, bytes, of });
    }

    fn claimed(&self, device: Device, standing: Standing) -> u64 {
        let claims = self
            .claims
            .iter()
            .filter(|claim| claim.device == device && claim.of.is_none_or(|of| of.outranks(standing)));
        claims.map(|claim| claim.bytes).fold(0, u64::saturating_add)
    }

    fn room(&self, device: Device, seeker: &Seeker<'_>) -> Room {
        let accounts = self.residency.accounts(device);
        let mut room = Room {
            device,
            free: accounts.map_or(0, |accounts| accounts.breakdown().free_bytes),
            overdraft: accounts.map_or(0, |accounts| accounts.overdraft()),
            claimed: self.claimed(device, seeker.standing),
            ..Room::default()
        };
        for name in &self.residency.resident {
            let Some(record) = self.residency.record(name) else {
                continue;
            };
            if record.device() != Some(device) {
                continue;
            }
            room.loading |= matches!(record.place, Place::Loading { .. });
            if record.place == Place::Leaving {
                room.coming = room.coming.saturating_add(record.reserved());
            } else if !record.pinned && name != seeker.model {
                room.reclaimable = room.reclaimable.saturating_add(record.reserved());
                self.add_candidate(&mut room, name, record, seeker.standing);
            }
        }
        room
    }

    fn add_candidate(&self, room: &mut Room, name: &ModelName, record: &Record, standing: Standing) {
        if self.promised.get(name).is_some_and(|of| of.outranks(standing)) {
            return;
        }
        let wanted = self.first_for(name);
        let held = wanted.is_some_and(|first| !standing.outranks(first));
        let candidate = Candidate::new(name, record, wanted.is_some(), self.now);
        if record.place != Place::Idle || held {
            return room.later.push(candidate);
        }
        match self.settles(record, standing) {
            None => room.ready.push(candidate),
            Some(moment) => {
                room.settled_at = Some(room.settled_at.map_or(moment, |at| at.min(moment)));
                room.later.push(candidate);
            }
        }
    }

    /// Until when an idle model is left to its callers although somebody waits for its memory;
    /// `None` if it may go. Two callers who take turns would otherwise have the models swapped at
    /// every single request.
    fn settles(&self, record: &Record, standing: Standing) -> Option<Moment> {
        if standing.aged || standing.arrived >= record.idle_since {
            return None;
        }
        let load = record.load_time().unwrap_or_default();
        let residence = load
            .saturating_mul(RESIDENCE)
            .min(self.residency.policy.fair_after / 2);
        let linger = (load / LINGER_SHARE).clamp(SHORTEST_LINGER, LONGEST_LINGER);
        let until = record
            .idle_since
            .plus(linger)
            .min(record.loaded_at.plus(residence));
        (until > self.now).then_some(until)
    }
}
