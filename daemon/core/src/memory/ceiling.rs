//! How large a model may be at most.

use crate::hardware::Device;

/// What one device could hold if everything else of ours was unloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    pub device: Device,
    /// NVIDIA's, such as (8, 6).
    pub compute_capability: Option<(u32, u32)>,
    pub bytes: u64,
}
