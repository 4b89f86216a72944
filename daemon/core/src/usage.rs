//! What was used and what it cost. It stays on this machine.

use std::time::{Duration, SystemTime};

use crate::name::ModelName;

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
