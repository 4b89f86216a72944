//! Who has how much of one device's memory.

use super::budget::Budget;
use crate::hardware::Device;

/// With less than this free a device is short of memory, however large it is.
pub const HEADROOM: u64 = 256 << 20;

/// Kept free on a device with `total` bytes whatever the budget says. Of main memory a twentieth:
/// the system and its desktop need to breathe, and models that fill the rest must not make it run
/// short.
fn headroom(device: Device, total: u64) -> u64 {
    match device {
        Device::Cpu => (total / 20).max((HEADROOM / 2 * 3).min(total / 7)),
        Device::Cuda(_) | Device::Rocm(_) => HEADROOM.min(total / 10),
    }
}

/// What the operating system or the driver says of one device, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryReading {
    pub total_bytes: u64,
    /// What could be taken now.
    pub available_bytes: u64,
    /// Of what is taken: by our own workers.
    pub own_bytes: u64,
}

/// One device's memory, divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBreakdown {
    pub device: Device,
    pub total_bytes: u64,
    /// What models and reservations may have together.
    pub budget_bytes: u64,
    /// Set aside for loaded and loading models.
    pub models_bytes: u64,
    /// Reserved by clients, such as for undo history.
    pub canvas_history_bytes: u64,
    /// Kept for the system: what the budget leaves out and nobody else uses.
    pub system_reserve_bytes: u64,
    /// In use by other programs and the system.
    pub external_apps_bytes: u64,
    /// What another model could have.
    pub free_bytes: u64,
}

/// The figures a breakdown is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accounts {
    pub device: Device,
    pub reading: MemoryReading,
    pub budget: Budget,
    /// Set aside for models, bytes.
    pub models_bytes: u64,
    /// Reserved by clients, bytes.
    pub reserved_bytes: u64,
}

impl Accounts {
    /// Other programs fill what the budget leaves out first; only what they need beyond that
    /// makes the free memory smaller. The parts add up to the total unless models or
    /// reservations have more than there is, in which case nothing is free.
    #[must_use]
    pub fn breakdown(&self) -> MemoryBreakdown {
        let (external, left_out) = self.not_ours();
        let total = self.reading.total_bytes;
        let beside_others = total.saturating_sub(external).saturating_sub(self.ours());
        MemoryBreakdown {
            device: self.device,
            total_bytes: total,
            budget_bytes: self.budget.of(total),
            models_bytes: self.models_bytes,
            canvas_history_bytes: self.reserved_bytes,
            system_reserve_bytes: left_out.min(beside_others),
            external_apps_bytes: external,
            free_bytes: beside_others.saturating_sub(left_out),
        }
    }

    /// By how much models and reservations have more than they may, bytes: a budget was lowered,
    /// other programs grew, or a worker took more than was set aside for it.
    #[must_use]
    pub fn overdraft(&self) -> u64 {
        let (external, left_out) = self.not_ours();
        let total = self.reading.total_bytes;
        let allowed = total.saturating_sub(external).saturating_sub(left_out);
        self.ours().saturating_sub(allowed)
    }

    const fn ours(&self) -> u64 {
        self.models_bytes.saturating_add(self.reserved_bytes)
    }

    /// What others use, and what has to stay free beside that.
    fn not_ours(&self) -> (u64, u64) {
        let MemoryReading {
            total_bytes: total,
            available_bytes,
            own_bytes,
        } = self.reading;
        let used = total.saturating_sub(available_bytes);
        let external = used.saturating_sub(own_bytes);
        let headroom = headroom(self.device, total);
        let left_out = total
            .saturating_sub(self.budget.of(total))
            .saturating_sub(external)
            .max(headroom);
        (external, left_out)
    }

    /// What one model could have at most here, if every other model and reservation were gone.
    #[must_use]
    pub fn ceiling(&self) -> u64 {
        let alone = Self {
            models_bytes: 0,
            reserved_bytes: 0,
            ..*self
        };
        alone.breakdown().free_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;

    fn accounts(budget: Budget, available: u64, own: u64, models: u64) -> Accounts {
        Accounts {
            device: Device::Cpu,
            reading: MemoryReading {
                total_bytes: 16 * GIB,
                available_bytes: available,
                own_bytes: own,
            },
            budget,
            models_bytes: models,
            reserved_bytes: 0,
        }
    }

    #[test]
    fn a_small_budget_is_all_for_models_however_much_others_use() {
        let breakdown = accounts(Budget::Bytes(2 * GIB), 10 * GIB, 0, 0).breakdown();
        assert_eq!(breakdown.external_apps_bytes, 6 * GIB);
        assert_eq!(breakdown.free_bytes, 2 * GIB);
        assert_eq!(breakdown.system_reserve_bytes, 8 * GIB);
    }

    #[test]
    fn others_that_use_more_than_the_reserve_take_it_from_the_models() {
        let breakdown = accounts(Budget::Percent(80), 8 * GIB, 0, 0).breakdown();
        assert_eq!(breakdown.free_bytes, 8 * GIB - headroom(Device::Cpu, 16 * GIB));
        assert_eq!(breakdown.system_reserve_bytes, headroom(Device::Cpu, 16 * GIB));
    }

    #[test]
    fn our_own_workers_are_not_somebody_else() {
        let breakdown = accounts(Budget::Percent(50), 10 * GIB, 4 * GIB, 5 * GIB).breakdown();
        assert_eq!(breakdown.external_apps_bytes, 2 * GIB);
        assert_eq!(breakdown.free_bytes, 3 * GIB);
    }

    #[test]
    fn a_budget_of_nothing_leaves_nothing() {
        assert_eq!(
            accounts(Budget::Bytes(0), 16 * GIB, 0, 0).breakdown().free_bytes,
            0
        );
        assert_eq!(accounts(Budget::Bytes(0), 16 * GIB, 0, 0).ceiling(), 0);
    }

    proptest! {
        #[test]
        fn the_parts_add_up_and_free_memory_is_within_the_budget(
            total in 0..1_u64 << 45, available in any::<u64>(), own in any::<u64>(),
            percent in 0..=100_u8, models in 0..1_u64 << 44, reserved in 0..1_u64 << 44,
        ) {
            let accounts = Accounts {
                device: Device::Cpu,
                reading: MemoryReading { total_bytes: total, available_bytes: available, own_bytes: own },
                budget: Budget::Percent(percent),
                models_bytes: models,
                reserved_bytes: reserved,
            };
            let parts = accounts.breakdown();
            let ours = models + reserved;
            prop_assert!(ours.saturating_add(parts.free_bytes) <= parts.budget_bytes.max(ours));
            if ours + parts.external_apps_bytes <= total {
                prop_assert_eq!(
                    ours + parts.external_apps_bytes + parts.system_reserve_bytes + parts.free_bytes, total
                );
            } else {
                prop_assert_eq!(parts.free_bytes, 0);
            }
            prop_assert!(parts.free_bytes == 0 || accounts.overdraft() == 0);
            let less = Accounts { models_bytes: models.saturating_sub(accounts.overdraft()), ..accounts };
            prop_assert!(less.overdraft() == 0 || less.models_bytes == 0);
        }
    }
}
