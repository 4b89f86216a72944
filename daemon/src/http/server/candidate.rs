//! What is to be served next, as far as it is ready.

use super::bind::{Wanted, wanted};
use super::door::{Released, Seal, Shut};
use crate::config::HttpSettings;

/// See the module.
pub(super) struct Candidate {
    pub(super) settings: HttpSettings,
    pub(super) wanted: Vec<Wanted>,
    pub(super) steps: Vec<Step>,
    /// What had to make way already.
    pub(super) released: Vec<Released>,
}

/// What becomes of one place.
pub(super) enum Step {
    /// It stays as it is.
    Keep(Wanted),
    /// Whoever comes from then on is met with other encryption.
    Reseal(Wanted, Seal),
    Open(Shut),
}

impl Candidate {
    pub(super) fn new(settings: HttpSettings) -> Self {
        Self {
            wanted: wanted(&settings),
            settings,
            steps: Vec::new(),
            released: Vec::new(),
        }
    }
}
