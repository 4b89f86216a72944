//! The devices and who has their memory.

use std::collections::BTreeMap;

use crate::error::Fault;
use crate::hardware::Device;
use crate::lifecycle::UnloadReason;
use crate::memory::{Accounts, Budget, MemoryBreakdown, MemoryReading};
use crate::time::Moment;

use super::{Decision, Residency, refusals};

/// What is known of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    pub device: Device,
    pub compute_capability: Option<(u32, u32)>,
    /// False if its memory is only watched.
    pub runs_models: bool,
    pub budget: Budget,
    pub reading: MemoryReading,
}

/// A client's claim on memory. Never used twice within a daemon's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(pub u64);

#[derive(Clone, Debug, Default)]
pub(super) struct Devices {
    /// In order of preference.
    facts: Vec<DeviceFacts>,
    reservations: BTreeMap<ReservationId, (Device, u64)>,
}

impl Devices {
    pub(super) fn for_models(&self) -> Vec<DeviceFacts> {
        let usable = self.facts.iter().filter(|facts| facts.runs_models);
        usable.copied().collect()
    }

    pub(super) fn get(&self, device: Device) -> Option<&DeviceFacts> {
        self.facts.iter().find(|facts| facts.device == device)
    }

    fn reserved(&self, device: Device) -> u64 {
        let there = self.reservations.values().filter(|(on, _)| *on == device);
        there.map(|(_, bytes)| *bytes).fold(0, u64::saturating_add)
    }
}

impl Residency {
    /// A device is there, or has changed. Those told first are preferred.
    pub fn set_device(&mut self, facts: DeviceFacts) {
        let facts = DeviceFacts {
            reading: sensible(facts.reading),
            ..facts
        };
        let known = self
            .devices
            .facts
            .iter_mut()
            .find(|known| known.device == facts.device);
        match known {
            Some(known) => *known = facts,
            None => self.devices.facts.push(facts),
        }
    }

    /// A device is gone.
    pub fn remove_device(&mut self, device: Device) {
        self.devices.facts.retain(|facts| facts.device != device);
    }

    pub fn read(&mut self, device: Device, reading: MemoryReading) {
        if let Some(facts) = self.devices.facts.iter_mut().find(|facts| facts.device == device) {
            facts.reading = sensible(reading);
        }
    }

    pub fn set_budget(&mut self, device: Device, budget: Budget) {
        if let Some(facts) = self.devices.facts.iter_mut().find(|facts| facts.device == device) {
            facts.budget = budget;
        }
    }

    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        self.devices.facts.iter().map(|facts| facts.device).collect()
    }

    pub(super) fn accounts(&self, device: Device) -> Option<Accounts> {
        let facts = self.devices.get(device)?;
        Some(Accounts {
            device,
            reading: facts.reading,
            budget: facts.budget,
            models_bytes: self.models_bytes(device),
            reserved_bytes: self.devices.reserved(device),
        })
    }

    /// Who has how much, for every device.
    #[must_use]
    pub fn breakdown(&self) -> Vec<MemoryBreakdown> {
        let devices = self.devices.facts.iter();
        devices
            .filter_map(|facts| self.accounts(facts.device))
            .map(|accounts| accounts.breakdown())
            .collect()
    }

    /// What the largest model could have on a device with nothing else loaded, bytes.
    #[must_use]
    pub fn ceiling(&self, device: Device) -> u64 {
        self.accounts(device).map_or(0, |accounts| accounts.ceiling())
    }

    /// What another model could have now without anything going, bytes.
    #[must_use]
    pub fn free(&self, device: Device) -> u64 {
        self.accounts(device)
            .map_or(0, |accounts| accounts.breakdown().free_bytes)
    }

    /// Sets memory aside for a client in place of what it had. Idle models go if need be and
    /// `evict` allows it; what cannot be had is refused and changes nothing.
    pub fn reserve(
        &mut self,
        id: ReservationId,
        device: Device,
        bytes: u64,
        evict: bool,
        now: Moment,
    ) -> Result<Vec<Decision>, Fault> {
        if self.devices.get(device).is_none() {
            return Err(refusals::no_such_device(device));
        }
        let before = self.devices.reservations.remove(&id);
        let outcome = self.make_room(device, bytes, evict, now);
        match (&outcome, before) {
            (Ok(_), _) => {
                self.devices.reservations.insert(id, (device, bytes));
            }
            (Err(_), Some(before)) => {
                self.devices.reservations.insert(id, before);
            }
            (Err(_), None) => {}
        }
        outcome
    }

    fn make_room(
        &self,
        device: Device,
        bytes: u64,
        evict: bool,
        now: Moment,
    ) -> Result<Vec<Decision>, Fault> {
        let missing = self.missing(device, bytes);
        if missing == 0 {
            return Ok(Vec::new());
        }
        let idle = if evict { self.idle(device, now) } else { Vec::new() };
        let Some(plan) = super::evict::least(idle, missing) else {
            return Err(refusals::reservation(device, bytes, self.free(device)));
        };
        Ok(plan
            .into_iter()
            .map(|model| Decision::Evict {
                model,
                reason: UnloadReason::EvictedForReservation,
            })
            .collect())
    }

    /// What has to be unloaded on a device for so many bytes beside all that is there.
    pub(super) fn missing(&self, device: Device, bytes: u64) -> u64 {
        let Some(accounts) = self.accounts(device) else {
            return bytes;
        };
        bytes
            .saturating_add(accounts.overdraft())
            .saturating_sub(accounts.breakdown().free_bytes)
            .saturating_sub(self.coming(device))
    }

    /// True until the reservation is given back.
    #[must_use]
    pub fn is_reserved(&self, id: ReservationId) -> bool {
        self.devices.reservations.contains_key(&id)
    }

    /// Gives a reservation back.
    pub fn release(&mut self, id: ReservationId) {
        self.devices.reservations.remove(&id);
    }
}

/// A driver may say nonsense.
fn sensible(reading: MemoryReading) -> MemoryReading {
    MemoryReading {
        available_bytes: reading.available_bytes.min(reading.total_bytes),
        own_bytes: reading.own_bytes.min(reading.total_bytes),
        ..reading
    }
}
