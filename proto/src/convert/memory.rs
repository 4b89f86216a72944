//! Who has how much memory, budgets, reservations, and what a model would take.

use airunner_core::hardware::Device;
use airunner_core::memory::{
    Budget, BudgetChange, DeviceClass, Estimate, EstimateRequest, Footprint, FreeRequest, Freed,
    MemoryBreakdown, Permission, PermissionReason, PermissionRequest, Quantization, ReservationCategory,
    ReserveRequest, Reserved,
};
use airunner_core::model::ModelKind;
use airunner_core::{Fault, ModelName};

use super::common::{asked_context, asked_level, device, level_text, named};
use super::wire::{at_most_bytes, known, refused};
use crate::v1;

/// Longest text of a budget, bytes.
const MAX_BUDGET_BYTES: usize = 32;

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

impl From<BudgetChange> for v1::SetBudgetRequest {
    fn from(change: BudgetChange) -> Self {
        Self {
            device: change.device.as_str().to_owned(),
            budget: change.budget.to_string(),
        }
    }
}

impl TryFrom<v1::SetBudgetRequest> for BudgetChange {
    type Error = Fault;

    fn try_from(wire: v1::SetBudgetRequest) -> Result<Self, Fault> {
        at_most_bytes(&wire.budget, MAX_BUDGET_BYTES, "budget")?;
        let all = DeviceClass::ALL.map(DeviceClass::as_str).join(", ");
        Ok(Self {
            device: refused(DeviceClass::parse(&wire.device), "device", &wire.device, &all)?,
            budget: wire.budget.parse::<Budget>()?,
        })
    }
}

impl From<FreeRequest> for v1::FreeRequest {
    fn from(request: FreeRequest) -> Self {
        Self {
            pinned: request.pinned,
        }
    }
}

impl From<v1::FreeRequest> for FreeRequest {
    fn from(wire: v1::FreeRequest) -> Self {
        Self { pinned: wire.pinned }
    }
}

impl From<Freed> for v1::FreeResponse {
    fn from(freed: Freed) -> Self {
        Self {
            unloaded: names_to_wire(&freed.unloaded),
            freed_bytes: freed.freed_bytes,
        }
    }
}

impl TryFrom<v1::FreeResponse> for Freed {
    type Error = Fault;

    fn try_from(wire: v1::FreeResponse) -> Result<Self, Fault> {
        Ok(Self {
            unloaded: names_from_wire(&wire.unloaded, "unloaded")?,
            freed_bytes: wire.freed_bytes,
        })
    }
}

fn names_to_wire(names: &[ModelName]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn names_from_wire(wire: &[String], field: &str) -> Result<Vec<ModelName>, Fault> {
    wire.iter().map(|name| named(name, field)).collect()
}

impl From<ReserveRequest> for v1::ReserveRequest {
    fn from(request: ReserveRequest) -> Self {
        Self {
            category: request.category.as_str().to_owned(),
            device: request.device.to_string(),
            bytes: request.bytes,
        }
    }
}

impl TryFrom<v1::ReserveRequest> for ReserveRequest {
    type Error = Fault;

    fn try_from(wire: v1::ReserveRequest) -> Result<Self, Fault> {
        let categories = ReservationCategory::ALL
            .map(ReservationCategory::as_str)
            .join(", ");
        let category = ReservationCategory::parse(&wire.category);
        Ok(Self {
            device: refused(
                Device::parse(&wire.device),
                "device",
                &wire.device,
                "cpu, cuda:0, rocm:0",
            )?,
            bytes: wire.bytes,
            category: refused(category, "category", &wire.category, &categories)?,
        })
    }
}

impl From<Reserved> for v1::ReserveResponse {
    fn from(reserved: Reserved) -> Self {
        Self {
            device: reserved.device.to_string(),
            reserved_bytes: reserved.reserved_bytes,
            refused: reserved.refusal.map(Into::into),
        }
    }
}

impl TryFrom<v1::ReserveResponse> for Reserved {
    type Error = Fault;

    fn try_from(wire: v1::ReserveResponse) -> Result<Self, Fault> {
        Ok(Self {
            device: device(&wire.device, "device")?,
            reserved_bytes: wire.reserved_bytes,
            refusal: wire.refused.map(Into::into),
        })
    }
}

impl From<EstimateRequest> for v1::EstimateModelRequest {
    fn from(request: EstimateRequest) -> Self {
        Self {
            name: request.name.to_string(),
            context_length: request.context_length,
            level: level_text(request.level),
        }
    }
}

impl TryFrom<v1::EstimateModelRequest> for EstimateRequest {
    type Error = Fault;

    fn try_from(wire: v1::EstimateModelRequest) -> Result<Self, Fault> {
        Ok(Self {
            name: ModelName::new(&wire.name)?,
            context_length: asked_context(wire.context_length)?,
            level: asked_level(&wire.level)?,
        })
    }
}

impl From<Estimate> for v1::EstimateModelResponse {
    fn from(estimate: Estimate) -> Self {
        Self {
            variant: estimate.variant,
            level: estimate.level.as_str().to_owned(),
            device: estimate.device.to_string(),
            context_length: estimate.context_length,
            weights_bytes: estimate.computed.weights_bytes,
            cache_bytes: estimate.computed.cache_bytes,
            activation_bytes: estimate.computed.activation_bytes,
            overhead_bytes: estimate.computed.overhead_bytes,
            step_bytes: estimate.step_bytes,
            learned_bytes: estimate.learned_bytes,
            total_bytes: estimate.total_bytes,
            fits: estimate.fits,
            would_unload: names_to_wire(&estimate.would_unload),
            refusal: estimate.refusal,
        }
    }
}

impl TryFrom<v1::EstimateModelResponse> for Estimate {
    type Error = Fault;

    fn try_from(wire: v1::EstimateModelResponse) -> Result<Self, Fault> {
        Ok(Self {
            variant: wire.variant,
            level: known(Quantization::parse(&wire.level), "level", &wire.level)?,
            device: device(&wire.device, "device")?,
            context_length: wire.context_length,
            computed: Footprint {
                weights_bytes: wire.weights_bytes,
                cache_bytes: wire.cache_bytes,
                activation_bytes: wire.activation_bytes,
                overhead_bytes: wire.overhead_bytes,
            },
            step_bytes: wire.step_bytes,
            learned_bytes: wire.learned_bytes,
            total_bytes: wire.total_bytes,
            fits: wire.fits,
            would_unload: names_from_wire(&wire.would_unload, "would_unload")?,
            refusal: wire.refusal,
        })
    }
}

impl From<PermissionRequest> for v1::CanPerformRequest {
    fn from(request: PermissionRequest) -> Self {
        Self {
            kind: request.kind.as_str().to_owned(),
            model: request.model.map(|name| name.to_string()),
        }
    }
}

impl TryFrom<v1::CanPerformRequest> for PermissionRequest {
    type Error = Fault;

    fn try_from(wire: v1::CanPerformRequest) -> Result<Self, Fault> {
        Ok(Self {
            kind: refused(
                ModelKind::parse(&wire.kind),
                "kind",
                &wire.kind,
                ModelKind::Llm.as_str(),
            )?,
            model: wire.model.map(|name| ModelName::new(&name)).transpose()?,
        })
    }
}

impl From<Permission> for v1::CanPerformResponse {
    fn from(permission: Permission) -> Self {
        Self {
            can_perform: permission.can_perform,
            reason: permission.reason.as_str().to_owned(),
            message: permission.message,
            required_bytes: permission.required_bytes,
            available_bytes: permission.available_bytes,
            active_models: names_to_wire(&permission.active_models),
        }
    }
}

impl TryFrom<v1::CanPerformResponse> for Permission {
    type Error = Fault;

    fn try_from(wire: v1::CanPerformResponse) -> Result<Self, Fault> {
        Ok(Self {
            can_perform: wire.can_perform,
            reason: known(PermissionReason::parse(&wire.reason), "reason", &wire.reason)?,
            message: wire.message,
            required_bytes: wire.required_bytes,
            available_bytes: wire.available_bytes,
            active_models: names_from_wire(&wire.active_models, "active_models")?,
        })
    }
}
