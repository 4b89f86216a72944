//! Going by other settings while models are in memory.

use airunner_core::ModelName;
use airunner_core::lifecycle::{Event, Limits};
use airunner_core::residency::Policy;

use super::actor::Actor;

/// What can be different from one moment to the next.
#[derive(Clone, Debug)]
pub struct Adjustment {
    pub limits: Limits,
    pub policy: Policy,
    /// Models that stay longest when memory is needed.
    pub favourites: Vec<ModelName>,
}

impl Actor {
    pub(super) fn adjust(&mut self, adjustment: Adjustment) {
        let Adjustment {
            limits,
            policy,
            favourites,
        } = adjustment;
        self.residency.set_policy(policy);
        self.favourites = favourites;
        let names: Vec<ModelName> = self.entries.keys().cloned().collect();
        for name in &names {
            self.residency.set_rank(name, self.rank(name));
        }
        if self.limits == limits {
            return;
        }
        self.limits = limits;
        for name in names {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.machine.set_limits(limits);
            }
            // The wake-up it asked for is another one.
            self.step(&name, Event::Tick);
            self.refresh(&name);
        }
    }

    /// The first of the favourites outranks the second, and all of them the rest.
    pub(super) fn rank(&self, name: &ModelName) -> u8 {
        let place = self.favourites.iter().position(|favourite| favourite == name);
        let rank = place.map_or(0, |place| self.favourites.len() - place);
        u8::try_from(rank).unwrap_or(u8::MAX)
    }
}
