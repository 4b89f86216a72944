//! What clients ask of the memory, and what they are answered.

use std::fmt;

use super::budget::Budget;
use super::quantization::Quantization;
use crate::error::Fault;
use crate::hardware::Device;
use crate::name::ModelName;

/// What to estimate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstimateRequest {
    pub name: ModelName,
    /// Tokens of one conversation; `None`: the configured length.
    pub context_length: Option<u32>,
    /// `None`: the one a load would choose.
    pub level: Option<Quantization>,
}

/// Devices that share a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceClass {
    /// Main memory.
    Cpu,
    /// Every GPU, each by itself.
    Gpu,
}

impl DeviceClass {
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Gpu];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

impl From<Device> for DeviceClass {
    fn from(device: Device) -> Self {
        match device {
            Device::Cpu => Self::Cpu,
            Device::Cuda(_) | Device::Rocm(_) => Self::Gpu,
        }
    }
}

impl fmt::Display for DeviceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A budget to keep from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetChange {
    pub device: DeviceClass,
    pub budget: Budget,
}

/// Unload everything that is idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreeRequest {
    /// Pinned models too.
    pub pinned: bool,
}

/// What was unloaded, and what it had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    pub unloaded: Vec<ModelName>,
    pub freed_bytes: u64,
}

/// What a client reserves memory for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReservationCategory {
    /// Undo history of a drawing.
    #[default]
    CanvasHistory,
}

impl ReservationCategory {
    pub const ALL: [Self; 1] = [Self::CanvasHistory];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CanvasHistory => "canvas_history",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.as_str() == text)
    }
}

/// Memory to set aside for a client; it replaces what the client had on that device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReserveRequest {
    pub device: Device,
    pub bytes: u64,
    pub category: ReservationCategory,
}

impl ReserveRequest {
    /// Undo history is kept in main memory, whatever draws the picture.
    pub fn check(&self) -> Result<(), Fault> {
        match (self.category, self.device) {
            (ReservationCategory::CanvasHistory, Device::Cpu) => Ok(()),
            (ReservationCategory::CanvasHistory, device @ (Device::Cuda(_) | Device::Rocm(_))) => {
                Err(Fault::invalid(format!(
                    "undo history is kept in main memory: reserve it on cpu instead of {device}"
                )))
            }
        }
    }
}

/// What is set aside for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    pub device: Device,
    /// All this client has there now.
    pub reserved_bytes: u64,
    /// Why the request was refused, which left the earlier reservation.
    pub refusal: Option<Fault>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for class in DeviceClass::ALL {
            assert_eq!(DeviceClass::parse(&class.to_string()), Some(class));
        }
        for category in ReservationCategory::ALL {
            assert_eq!(ReservationCategory::parse(category.as_str()), Some(category));
        }
        assert_eq!(
            (DeviceClass::parse("cuda:0"), ReservationCategory::parse("")),
            (None, None)
        );
    }

    #[test]
    fn undo_history_is_in_main_memory() {
        for (device, allowed) in [
            (Device::Cpu, true),
            (Device::Cuda(0), false),
            (Device::Rocm(1), false),
        ] {
            let request = ReserveRequest {
                device,
                bytes: 1,
                category: ReservationCategory::CanvasHistory,
            };
            assert_eq!(request.check().is_ok(), allowed, "{device}");
        }
    }

    #[test]
    fn every_gpu_is_of_one_class() {
        assert_eq!(DeviceClass::from(Device::Cpu), DeviceClass::Cpu);
        assert_eq!(DeviceClass::from(Device::Cuda(1)), DeviceClass::Gpu);
        assert_eq!(DeviceClass::from(Device::Rocm(0)), DeviceClass::Gpu);
    }
}
