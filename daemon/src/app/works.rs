//! What jobs do.

use std::sync::Arc;

use crate::activities::Activities;
use crate::downloads::Downloads;
use crate::jobs;
use crate::models::Models;
use crate::quantize::Quantizer;

/// The kinds of jobs there are.
pub(super) fn works(
    activities: &Activities,
    downloads: &Downloads,
    models: &Models,
    quantizer: &Quantizer,
) -> jobs::Options {
    let activities = || activities.clone();
    jobs::Options::new(vec![
        Arc::new(jobs::Pull {
            downloads: downloads.clone(),
            models: models.clone(),
        }),
        Arc::new(jobs::Verify {
            activities: activities(),
            downloads: downloads.clone(),
        }),
        Arc::new(jobs::Import {
            activities: activities(),
            models: models.clone(),
        }),
        Arc::new(jobs::Quantize {
            activities: activities(),
            quantizer: quantizer.clone(),
        }),
    ])
}
