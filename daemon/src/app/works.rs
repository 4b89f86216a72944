//! What jobs do.

use std::sync::Arc;

use crate::downloads::Downloads;
use crate::jobs;
use crate::models::Models;
use crate::quantize::Quantizer;

/// The kinds of jobs there are.
pub(super) fn works(downloads: &Downloads, models: &Models, quantizer: &Quantizer) -> jobs::Options {
    jobs::Options::new(vec![
        Arc::new(jobs::Pull {
            downloads: downloads.clone(),
            models: models.clone(),
        }),
        Arc::new(jobs::Verify {
            downloads: downloads.clone(),
        }),
        Arc::new(jobs::Import {
            models: models.clone(),
        }),
        Arc::new(jobs::Quantize {
            quantizer: quantizer.clone(),
        }),
    ])
}
