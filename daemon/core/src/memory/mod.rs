//! How much memory there is, who has it, and what a model would take.
//!
//! Values only; who gets it is decided in [`residency`](crate::residency).

mod breakdown;
mod budget;
mod ceiling;
mod footprint;
mod permission;
mod quantization;
mod request;
mod size;

pub use breakdown::{Accounts, HEADROOM, MemoryBreakdown, MemoryReading};
pub use budget::Budget;
pub use ceiling::Ceiling;
pub use footprint::{Estimate, Footprint, PackageEstimate, VariantEstimate};
pub use permission::{Permission, PermissionReason, PermissionRequest};
pub use quantization::{Quantization, ladder};
pub use request::{
    BudgetChange, DeviceClass, EstimateRequest, FreeRequest, Freed, ReservationCategory, ReserveRequest,
    Reserved,
};
pub use size::{display_bytes, parse_bytes};
