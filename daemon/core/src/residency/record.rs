//! What is known of one model.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::Fault;
use crate::hardware::Device;
use crate::lifecycle::UnloadReason;
use crate::time::Moment;

use super::options::{LoadOption, PackageFacts};

/// Where a model's machine is, as far as memory is concerned.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Unloaded,
    /// Unloaded, and not to be loaded now: who wants it is told this.
    Refusing(Fault),
    Loading {
        /// Requests let in to wait for the end of the load.
        waiting: usize,
    },
    Idle,
    Busy {
        active: usize,
        /// It goes when the last request ends, and lets nobody in.
        leaving: bool,
    },
    /// Its worker ends.
    Leaving,
}

/// What one model has of the memory.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub(super) option: LoadOption,
    pub(super) measured: u64,
}

/// What is known of the files of a package.
#[derive(Clone, Debug)]
pub(super) enum Facts {
    Unknown,
    Asked,
    Known(PackageFacts),
    Broken(Fault),
}

#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) facts: Facts,
    pub(super) place: Place,
    pub(super) holding: Option<Holding>,
    pub(super) pinned: bool,
    pub(super) rank: u8,
    pub(super) loaded_at: Moment,
    pub(super) idle_since: Moment,
    /// The last requests, oldest first.
    uses: VecDeque<Moment>,
    pub(super) trimmed: bool,
    /// Its last load died of memory: everything idle goes before the next.
    pub(super) needs_room: bool,
    retried: bool,
    /// It goes only to be loaded anew, so it stays pinned.
    comes_back: bool,
    /// Estimates are multiplied by this, in percent.
    factor_percent: u64,
    answer_time: Option<Duration>,
    load_time: Option<Duration>,
}

/// More make the choice of what goes better where some models are always asked for more often
/// than others; fewer make it follow sooner when that changes.
const REMEMBERED_USES: usize = 8;

/// Most of what is set aside beyond an estimate, percent of it.
const MAX_FACTOR_PERCENT: u64 = 400;

impl Record {
    pub(super) const fn new(rank: u8) -> Self {
        Self {
            facts: Facts::Unknown,
            place: Place::Unloaded,
            holding: None,
            pinned: false,
            rank,
            loaded_at: Moment::since_start(Duration::ZERO),
            idle_since: Moment::since_start(Duration::ZERO),
            uses: VecDeque::new(),
            trimmed: false,
            needs_room: false,
            retried: false,
            comes_back: false,
            factor_percent: 100,
            answer_time: None,
            load_time: None,
        }
    }

    pub(super) fn set_facts(&mut self, facts: Result<PackageFacts, Fault>) {
        self.facts = match facts {
            Ok(facts) => {
                self.load_time = self.load_time.or(facts.load_time);
                let kept = facts.factor_percent.min(MAX_FACTOR_PERCENT);
                self.factor_percent = self.factor_percent.max(kept);
                Facts::Known(facts)
            }
            Err(fault) => Facts::Broken(fault),
        };
    }

    pub(super) fn forget_facts(&mut self) {
        self.facts = Facts::Unknown;
    }

    pub(super) fn observe(&mut self, place: Place, now: Moment) {
        if self.place == place {
            return;
        }
        match place {
            Place::Unloaded | Place::Refusing(_) => {
                self.holding = None;
                self.pinned &= std::mem::take(&mut self.comes_back);
                // The files may have changed meanwhile.
                if matches!(self.facts, Facts::Broken(_)) {
                    self.facts = Facts::Unknown;
                }
            }
            Place::Idle => {
                self.idle_since = now;
                self.trimmed = false;
                if matches!(self.place, Place::Loading { .. }) {
                    self.settle_in(now);
                }
            }
            Place::Busy { .. } if matches!(self.place, Place::Loading { .. }) => self.settle_in(now),
            Place::Loading { .. } | Place::Busy { .. } | Place::Leaving => {}
        }
        self.place = place;
    }

    /// It was told to go.
    pub(super) fn leaves(&mut self, reason: &UnloadReason) {
        self.place = Place::Leaving;
        self.comes_back = *reason == UnloadReason::Reloaded;
    }

    /// A request that came then is let in.
    pub(super) fn admit(&mut self, arrived: Moment) {
        if self.uses.len() == REMEMBERED_USES {
            self.uses.pop_front();
        }
        self.uses.push_back(arrived);
        match &mut self.place {
            Place::Loading { waiting } => *waiting += 1,
            Place::Busy { active, .. } => *active += 1,
            Place::Idle => {
                self.place = Place::Busy {
                    active: 1,
                    leaving: false,
                };
            }
            Place::Unloaded | Place::Refusing(_) | Place::Leaving => {}
        }
    }

    /// Requests that are in, if another could be let in.
    pub(super) const fn guests(&self) -> Option<usize> {
        match self.place {
            Place::Loading { waiting } => Some(waiting),
            Place::Idle => Some(0),
            Place::Busy {
                active,
                leaving: false,
            } => Some(active),
            Place::Busy { leaving: true, .. } | Place::Unloaded | Place::Refusing(_) | Place::Leaving => None,
        }
    }

    /// Time between two requests, as far as is known: over the last ones, up to now.
    pub(super) fn usual_gap(&self, now: Moment) -> Duration {
        let since = self.uses.front().map_or(self.idle_since, |first| *first);
        let uses = u32::try_from(self.uses.len()).unwrap_or(u32::MAX).max(1);
        now.since(since) / uses
    }

    fn settle_in(&mut self, now: Moment) {
        self.loaded_at = now;
        self.needs_room = false;
        self.retried = false;
    }

    pub(super) fn measured(&mut self, bytes: u64) {
        if let Some(holding) = &mut self.holding {
            holding.measured = bytes;
        }
    }

    pub(super) fn learned(&mut self, option: &LoadOption, bytes: u64) {
        if let Facts::Known(facts) = &mut self.facts {
            facts.learn(option, bytes);
        }
    }

    pub(super) fn loaded_in(&mut self, took: Duration) {
        self.load_time = Some(took);
    }

    pub(super) fn answered_in(&mut self, took: Duration) {
        self.answer_time = Some(
            self.answer_time
                .map_or(took, |mean| mean.saturating_mul(7).saturating_add(took) / 8),
        );
    }

    pub(super) fn ran_out_of_memory(&mut self) -> bool {
        self.factor_percent = (self.factor_percent * 5 / 4).min(MAX_FACTOR_PERCENT);
        self.needs_room = true;
        !std::mem::replace(&mut self.retried, true)
    }

    pub(super) const fn factor_percent(&self) -> u64 {
        self.factor_percent
    }

    /// How long a load takes, as far as is known.
    pub(super) fn load_time(&self) -> Option<Duration> {
        self.load_time
    }

    /// How long an answer takes, as far as is known.
    pub(super) fn answer_time(&self) -> Option<Duration> {
        self.answer_time
    }

    pub(super) fn device(&self) -> Option<Device> {
        self.holding.as_ref().map(|holding| holding.option.device)
    }

    /// Bytes set aside: what was planned, or what it really takes if that is more.
    pub(super) fn reserved(&self) -> u64 {
        self.holding
            .as_ref()
            .map_or(0, |holding| holding.option.bytes.max(holding.measured))
    }

    pub(super) const fn is_resident(&self) -> bool {
        matches!(self.place, Place::Idle | Place::Busy { leaving: false, .. })
    }

    pub(super) const fn active(&self) -> usize {
        match self.place {
            Place::Busy { active, .. } => active,
            Place::Unloaded | Place::Refusing(_) | Place::Loading { .. } | Place::Idle | Place::Leaving => 0,
        }
    }
}
