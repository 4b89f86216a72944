//! What the machine has, and who has how much of its memory.

use airunner_core::Fault;
use airunner_core::memory::MemoryBreakdown;

use super::common::device;
use crate::v1;

impl From<MemoryBreakdown> for v1::MemoryBreakdown {
    fn from(parts: MemoryBreakdown) -> Self {
        Self {
            device: parts.device.to_string(),
            total_bytes: parts.total_bytes,
            budget_bytes: parts.budget_bytes,
            models_bytes: parts.models_bytes,
            canvas_history_bytes: parts.canvas_history_bytes,
            system_reserve_bytes: parts.system_reserve_bytes,
            external_apps_bytes: parts.external_apps_bytes,
            free_bytes: parts.free_bytes,
        }
    }
}

impl TryFrom<v1::MemoryBreakdown> for MemoryBreakdown {
    type Error = Fault;

    fn try_from(wire: v1::MemoryBreakdown) -> Result<Self, Fault> {
        Ok(Self {
            device: device(&wire.device, "memory.device")?,
            total_bytes: wire.total_bytes,
            budget_bytes: wire.budget_bytes,
            models_bytes: wire.models_bytes,
            canvas_history_bytes: wire.canvas_history_bytes,
            system_reserve_bytes: wire.system_reserve_bytes,
            external_apps_bytes: wire.external_apps_bytes,
            free_bytes: wire.free_bytes,
        })
    }
}

/// Every device of an answer.
pub(super) fn breakdowns(wire: Vec<v1::MemoryBreakdown>) -> Result<Vec<MemoryBreakdown>, Fault> {
    wire.into_iter().map(TryInto::try_into).collect()
}

impl From<Vec<MemoryBreakdown>> for v1::MemoryResponse {
    fn from(devices: Vec<MemoryBreakdown>) -> Self {
        Self {
            devices: devices.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::MemoryResponse> for Vec<MemoryBreakdown> {
    type Error = Fault;

    fn try_from(wire: v1::MemoryResponse) -> Result<Self, Fault> {
        breakdowns(wire.devices)
    }
}
