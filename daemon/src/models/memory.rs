//! Budgets, readings, reservations, and giving memory back.

use airunner_core::event::Event as Announcement;
use airunner_core::hardware::Device;
use airunner_core::lifecycle::{Event, UnloadReason};
use airunner_core::memory::{BudgetChange, DeviceClass, MemoryBreakdown, MemoryReading, display_bytes};
use airunner_core::residency::{Decision, DeviceFacts, ReservationId};
use airunner_core::{ErrorKind, Fault};
use tokio::sync::oneshot;

use super::actor::{Actor, Happened};
use super::message::{Going, Gone};

impl Actor {
    pub(super) fn set_budget(&mut self, change: BudgetChange) -> Vec<MemoryBreakdown> {
        if change.device == DeviceClass::Gpu {
            self.gpu_budget = change.budget;
        }
        tracing::info!(device = %change.device, budget = %change.budget, "the memory budget was changed");
        for device in self.residency.devices() {
            if DeviceClass::from(device) == change.device {
                self.residency.set_budget(device, change.budget);
            }
        }
        for device in self.residency.devices() {
            let decisions = self.residency.over_budget(device, false, self.now());
            self.do_all(decisions);
        }
        self.publish_memory();
        self.residency.breakdown()
    }

    pub(super) fn readings(&mut self, readings: Vec<(Device, MemoryReading)>) {
        self.read_at = Some(self.now());
        let known = self.residency.devices();
        for device in &known {
            // A driver that went away took its device along; main memory stays.
            if *device != Device::Cpu && !readings.iter().any(|(there, _)| there == device) {
                tracing::warn!(%device, "the device is gone");
                self.residency.remove_device(*device);
            }
        }
        for (device, reading) in readings {
            if known.contains(&device) {
                self.residency.read(device, reading);
            } else {
                self.residency.set_device(self.watched(device, reading));
            }
        }
        self.publish_memory();
    }

    /// A device that was not there before: its memory is watched.
    const fn watched(&self, device: Device, reading: MemoryReading) -> DeviceFacts {
        DeviceFacts {
            device,
            compute_capability: None,
            runs_models: false,
            budget: self.gpu_budget,
            reading,
        }
    }

    pub(super) fn pressure(&mut self, device: Device, shortage: u64) {
        let decisions = self.residency.pressure(device, shortage);
        let shortage = display_bytes(shortage);
        tracing::warn!(%device, shortage, actions = decisions.len(), "memory runs short");
        self.do_all(decisions);
    }

    pub(super) fn free(&mut self, pinned: bool) -> Vec<Going> {
        let mut going = Vec::new();
        for (name, bytes) in self.residency.free_all(pinned) {
            let (reply, gone) = oneshot::channel();
            let Some(entry) = self.entries.get_mut(&name) else {
                continue;
            };
            entry.unloads.push(reply);
            let reason = UnloadReason::Freed;
            self.step(&name, Event::Evict { reason });
            going.push(Going { name, bytes, gone });
        }
        going
    }

    pub(super) fn reserve(
        &mut self,
        device: Device,
        bytes: u64,
        evict: bool,
        gone: Gone,
    ) -> Result<ReservationId, Fault> {
        self.reservations += 1;
        let id = ReservationId(self.reservations);
        self.resize(id, device, bytes, evict)?;
        self.happens.push(Box::pin(async move {
            drop(gone.await);
            Happened::Released(id)
        }));
        Ok(id)
    }

    /// Changes a reservation whose owner is still there.
    pub(super) fn resize_reserved(
        &mut self,
        id: ReservationId,
        device: Device,
        bytes: u64,
    ) -> Result<(), Fault> {
        if !self.residency.is_reserved(id) {
            let message = "the reservation was given back already";
            return Err(Fault::new(ErrorKind::NotFound, message));
        }
        self.resize(id, device, bytes, true)
    }

    fn resize(&mut self, id: ReservationId, device: Device, bytes: u64, evict: bool) -> Result<(), Fault> {
        let now = self.now();
        let decisions = self.residency.reserve(id, device, bytes, evict, now)?;
        self.do_all(decisions);
        self.publish_memory();
        Ok(())
    }

    pub(super) fn ceilings(&self) -> Vec<(Device, u64)> {
        let devices = self.residency.devices().into_iter();
        devices
            .map(|device| (device, self.residency.ceiling(device)))
            .collect()
    }

    pub(super) fn do_all(&mut self, decisions: Vec<Decision>) {
        for decision in decisions {
            self.do_as_decided(decision);
        }
    }

    /// Tells everybody who has how much, if that has changed noticeably.
    pub(super) fn publish_memory(&mut self) {
        let memory = self.residency.breakdown();
        if noticeably_different(&self.told_memory, &memory) {
            self.told_memory.clone_from(&memory);
            self.publisher.publish(Announcement::MemoryChanged(memory));
        } else {
            self.publisher.refresh_memory(memory);
        }
    }
}

/// What others use moves all the time: only a hundredth of the device is worth an event.
fn noticeably_different(told: &[MemoryBreakdown], now: &[MemoryBreakdown]) -> bool {
    let differs = |told: &MemoryBreakdown, now: &MemoryBreakdown| {
        let moved = |a: u64, b: u64| a.abs_diff(b) > now.total_bytes / 100;
        told.device != now.device
            || (told.total_bytes, told.budget_bytes) != (now.total_bytes, now.budget_bytes)
            || told.canvas_history_bytes != now.canvas_history_bytes
            || (told.models_bytes == 0) != (now.models_bytes == 0)
            || moved(told.models_bytes, now.models_bytes)
            || moved(told.external_apps_bytes, now.external_apps_bytes)
    };
    told.len() != now.len() || told.iter().zip(now).any(|(told, now)| differs(told, now))
}
