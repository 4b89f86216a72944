//! The kinds of work there are.

mod import;
mod pull;
mod quantize;
mod verify;

pub use import::Import;
pub use pull::Pull;
pub use quantize::Quantize;
pub use verify::Verify;

use airunner_core::{ErrorKind, Fault};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What was written down of a request, by this program or an earlier one.
fn read<T: DeserializeOwned>(request: Value) -> Result<T, Fault> {
    serde_json::from_value(request)
        .map_err(|error| Fault::internal(format!("a job was not written by this program: {error}")))
}

fn write(value: &impl Serialize) -> Result<Value, Fault> {
    serde_json::to_value(value).map_err(|error| Fault::internal(format!("a job cannot be written: {error}")))
}

fn cancelled() -> Fault {
    Fault::new(ErrorKind::Cancelled, "the job was cancelled")
}

fn shutting_down() -> Fault {
    Fault::new(ErrorKind::ShuttingDown, "the daemon is shutting down")
}
