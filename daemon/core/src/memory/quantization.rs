//! How precisely weights are kept, and which precision suits a device best.

use std::fmt;

use crate::hardware::Device;

/// The six levels, from the most to the least precise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantization {
    /// 32-bit floating point.
    None,
    Float16,
    BFloat16,
    Int8,
    Int4,
    /// Noticeably worse answers.
    Int2,
}

impl Quantization {
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Float16,
        Self::BFloat16,
        Self::Int8,
        Self::Int4,
        Self::Int2,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Float16 => "fp16",
            Self::BFloat16 => "bf16",
            Self::Int8 => "8bit",
            Self::Int4 => "4bit",
            Self::Int2 => "2bit",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }

    /// For a person.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::None => "Full precision (FP32)",
            Self::Float16 => "Half precision (FP16)",
            Self::BFloat16 => "Brain float 16 (BF16)",
            Self::Int8 => "8-bit quantization",
            Self::Int4 => "4-bit quantization",
            Self::Int2 => "2-bit quantization (requires calibration)",
        }
    }

    /// Bytes of one weight, without the scales of its block.
    #[must_use]
    pub const fn bytes_per_weight(self) -> f64 {
        match self {
            Self::None => 4.0,
            Self::Float16 | Self::BFloat16 => 2.0,
            Self::Int8 => 1.0,
            Self::Int4 => 0.5,
            Self::Int2 => 0.25,
        }
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The order in which levels are tried on a device: the first that fits is taken.
///
/// A GPU computes in half precision, so there it is the most precise that fits, bfloat16 before
/// float16 where the GPU has it and 32-bit last, which costs twice the memory for no better
/// answer. On a CPU an answer takes as long as reading the weights, so 4-bit comes first; half
/// precision has no fast path there and is the last resort before 2-bit.
#[must_use]
pub const fn ladder(device: Device, compute_capability: Option<(u32, u32)>) -> [Quantization; 6] {
    use Quantization::{BFloat16, Float16, Int2, Int4, Int8, None as Full};
    match device {
        Device::Cpu => [Int4, Int8, Full, BFloat16, Float16, Int2],
        Device::Cuda(_) | Device::Rocm(_) => match compute_capability {
            Some((8.., _)) => [BFloat16, Float16, Int8, Int4, Int2, Full],
            Some(_) | Option::None => [Float16, Int8, Int4, Int2, Full, BFloat16],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_reads_back_from_its_text() {
        for level in Quantization::ALL {
            assert_eq!(Quantization::parse(level.as_str()), Some(level));
        }
        assert_eq!(Quantization::parse("3bit"), Option::None);
    }

    #[test]
    fn every_level_is_on_every_ladder_once() {
        for (device, capability) in [
            (Device::Cpu, Option::None),
            (Device::Cuda(0), Some((8, 6))),
            (Device::Cuda(0), Some((7, 5))),
            (Device::Rocm(0), Option::None),
        ] {
            let mut levels = ladder(device, capability).to_vec();
            levels.sort_unstable();
            assert_eq!(levels, Quantization::ALL, "{device}");
        }
    }

    #[test]
    fn bfloat16_comes_first_where_the_gpu_has_it() {
        assert_eq!(ladder(Device::Cuda(0), Some((8, 0)))[0], Quantization::BFloat16);
        assert_eq!(ladder(Device::Cuda(0), Some((7, 5)))[0], Quantization::Float16);
    }

    #[test]
    fn two_bits_are_said_to_need_calibration() {
        let calibrated: Vec<_> = Quantization::ALL
            .into_iter()
            .filter(|level| level.description().contains("calibration"))
            .collect();
        assert_eq!(calibrated, [Quantization::Int2]);
        assert!((Quantization::Float16.bytes_per_weight() - 2.0).abs() < f64::EPSILON);
    }
}
