//! Language models.

pub mod sampling;
pub mod text;

use airunner_core::model::{LoadProgress, LoadStage};
use airunner_core::{ErrorKind, Fault};

use crate::package::Package;
use crate::{LlmRuntime, LoadOptions};

pub(crate) fn load(
    options: &LoadOptions,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Box<dyn LlmRuntime>, Fault> {
    progress(LoadProgress {
        stage: LoadStage::Checking,
        fraction: 0.0,
    });
    let package = Package::open(&options.directory)?;
    Err(Fault::new(
        ErrorKind::ModelIncompatible,
        format!("{} cannot be run", package.variant()),
    ))
}
