//! What was used and what it cost. It stays on this machine.

use std::time::{Duration, SystemTime};

use crate::hardware::Device;
use crate::name::ModelName;

/// Something that happened to a model, to be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageEvent {
    Loaded {
        model: ModelName,
        took: Duration,
    },
    LoadFailed {
        model: ModelName,
    },
    Unloaded {
        model: ModelName,
        /// Its stable name, such as `idle_timeout`.
        reason: String,
        /// The most its worker ever held, bytes; 0 if unknown.
        peak_bytes: u64,
    },
    Answered {
        model: ModelName,
        prompt_tokens: u64,
        completion_tokens: u64,
        /// Time spent answering.
        busy: Duration,
        failed: bool,
    },
}

/// What a measured load is filed under: the same bytes, loaded the same way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MeasurementKey {
    /// SHA-256 of what was loaded, in hexadecimal.
    pub digest: String,
    /// The graph file, relative to the package.
    pub variant: String,
    /// Tokens.
    pub context_length: u32,
    pub device: Device,
    /// Version of ONNX Runtime.
    pub runtime: String,
}

/// What loads under one key really took.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    pub key: MeasurementKey,
    /// Held right after the last load, bytes; 0 if it never loaded.
    pub base_bytes: u64,
    /// The most it held in its life, bytes, slowly forgotten.
    pub peak_bytes: u64,
    /// How long a load takes, the last ones counting most; zero if it never loaded.
    pub load_time: Duration,
    /// By how much an estimate is to be multiplied after a load ran out of memory; 1 or more.
    pub factor: f64,
    pub updated_at: SystemTime,
}

impl Measurement {
    /// The most an estimate may be corrected.
    pub const FACTOR_MAX: f64 = 16.0;

    /// Both together, `newer` being the later one. What was not measured is zero and changes
    /// nothing; a peak falls by a tenth of the difference at most.
    #[must_use]
    pub fn merged(&self, newer: &Self) -> Self {
        let either = |old: u64, new: u64| if new == 0 { old } else { new };
        Self {
            key: newer.key.clone(),
            base_bytes: either(self.base_bytes, newer.base_bytes),
            peak_bytes: decayed(self.peak_bytes, newer.peak_bytes),
            load_time: averaged(self.load_time, newer.load_time),
            factor: sane(self.factor).max(sane(newer.factor)),
            updated_at: newer.updated_at,
        }
    }
}

fn decayed(old: u64, new: u64) -> u64 {
    if new >= old || new == 0 {
        return new.max(old);
    }
    old - (old - new) / 10
}

fn averaged(old: Duration, new: Duration) -> Duration {
    match (old.is_zero(), new.is_zero()) {
        (_, true) => old,
        (true, false) => new,
        (false, false) => (old / 10)
            .saturating_mul(7)
            .saturating_add((new / 10).saturating_mul(3)),
    }
}

fn sane(factor: f64) -> f64 {
    if factor.is_finite() {
        factor.clamp(1.0, Measurement::FACTOR_MAX)
    } else {
        1.0
    }
}

/// Which period to tell about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageRequest {
    /// Only what happened so long ago or later; `None`: everything.
    pub within: Option<Duration>,
}

/// One model's use over a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub model: ModelName,
    pub loads: u64,
    pub failed_loads: u64,
    /// All loads together.
    pub load_time: Duration,
    /// Of the last load that succeeded.
    pub last_load_time: Option<Duration>,
    /// The most its worker ever held, bytes.
    pub peak_memory_bytes: u64,
    pub requests: u64,
    pub failed_requests: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// Time spent answering.
    pub busy_time: Duration,
    pub last_used: Option<SystemTime>,
    /// How often it was unloaded, by reason: `idle_timeout`, `evicted`, ...
    pub unloads: Vec<(String, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(base: u64, peak: u64, seconds: u64, factor: f64) -> Measurement {
        Measurement {
            key: MeasurementKey {
                digest: "d".to_owned(),
                variant: "onnx/model.onnx".to_owned(),
                context_length: 1024,
                device: Device::Cpu,
                runtime: "1".to_owned(),
            },
            base_bytes: base,
            peak_bytes: peak,
            load_time: Duration::from_secs(seconds),
            factor,
            updated_at: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_peak_rises_at_once_and_falls_slowly() {
        let old = measurement(100, 1000, 10, 1.0);
        let higher = old.merged(&measurement(110, 1500, 20, 1.0));
        assert_eq!((higher.base_bytes, higher.peak_bytes), (110, 1500));
        assert_eq!(higher.load_time, Duration::from_secs(13));
        assert_eq!(old.merged(&measurement(100, 500, 10, 1.0)).peak_bytes, 950);
    }

    #[test]
    fn a_load_that_failed_changes_only_the_factor() {
        let old = measurement(100, 1000, 10, 1.0);
        let failed = old.merged(&measurement(0, 0, 0, 1.5));
        assert_eq!((failed.base_bytes, failed.peak_bytes), (100, 1000));
        assert_eq!((failed.load_time, failed.factor), (old.load_time, 1.5));
        assert_eq!(failed.merged(&measurement(1, 1, 1, f64::NAN)).factor, 1.5);
        assert_eq!(
            failed.merged(&measurement(1, 1, 1, 1e9)).factor,
            Measurement::FACTOR_MAX
        );
    }

    #[test]
    fn nothing_overflows() {
        let huge = Measurement {
            load_time: Duration::MAX,
            ..measurement(u64::MAX, u64::MAX, 0, 1.0)
        };
        assert_eq!(
            huge.merged(&measurement(1, 1, 1, 1.0)).peak_bytes,
            u64::MAX - (u64::MAX - 1) / 10
        );
        assert_eq!(huge.merged(&huge).peak_bytes, u64::MAX);
    }
}
