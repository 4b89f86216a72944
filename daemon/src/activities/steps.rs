//! How far work is, from what it tells.

use airunner_core::download::VerifyEvent;
use airunner_core::model::ImportEvent;
use airunner_core::quantize::{QuantizeEvent, QuantizeStage};

/// What work tells.
pub trait Step: Send + 'static {
    /// 0 to 1; `None`: it is the end.
    fn fraction(&self) -> Option<f64>;

    /// Whether it has not begun: others go first.
    fn is_waiting(&self) -> bool {
        false
    }
}

impl Step for ImportEvent {
    fn fraction(&self) -> Option<f64> {
        match self {
            Self::Progress(step) => Some(share(step.done_bytes, step.total_bytes)),
            Self::Installed(_) => None,
        }
    }
}

impl Step for QuantizeEvent {
    fn fraction(&self) -> Option<f64> {
        match self {
            Self::Progress(step) => Some(step.fraction),
            Self::Installed { .. } => None,
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(self, Self::Progress(step) if step.stage == QuantizeStage::Waiting)
    }
}

impl Step for VerifyEvent {
    fn fraction(&self) -> Option<f64> {
        match self {
            Self::Progress {
                done_bytes,
                total_bytes,
                ..
            } => Some(share(*done_bytes, *total_bytes)),
            Self::Finished(_) => None,
        }
    }
}

/// 0 while it is not known how much there is.
#[expect(clippy::cast_precision_loss, reason = "a share is not that exact")]
pub fn share(done: u64, total: u64) -> f64 {
    if total == 0 {
        0.0
    } else {
        done as f64 / total as f64
    }
}
