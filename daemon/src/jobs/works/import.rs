//! Copying a package of this machine into the store.

use airunner_core::activity::ActivityKind;
use airunner_core::model::{ImportEvent, ImportRequest};
use airunner_core::{Fault, ModelName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{cancelled, read, shutting_down, write};
use crate::activities::{Activities, Step as _};
use crate::jobs::{Going, Outcome, Progress, Work};
use crate::models::{ImportEvents, Models};

/// See the module. One that was cut off has left nothing, and is not begun again by itself: the
/// directory may be another one by then.
pub struct Import {
    pub activities: Activities,
    pub models: Models,
}

/// A request as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    directory: String,
    name: String,
    link: bool,
}

impl Import {
    pub const KIND: &str = "import";

    /// How a request is given to a job.
    pub fn request(request: ImportRequest) -> Result<Value, Fault> {
        write(&Written {
            directory: request.directory,
            name: request.name.to_string(),
            link: request.link,
        })
    }
}

async fn follow(mut events: ImportEvents, progress: &Progress) -> Outcome {
    while let Some(event) = events.recv().await {
        let event = event?;
        progress.reached(event.fraction().unwrap_or(1.0));
        if let ImportEvent::Installed(model) = event {
            return Ok(json!({"model": model.name.as_str()}));
        }
    }
    Err(shutting_down())
}

impl Work for Import {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn run(
        &self,
        request: Value,
        _noted: Option<Value>,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Going {
        let (models, activities) = (self.models.clone(), self.activities.clone());
        Box::pin(async move {
            let written: Written = read(request)?;
            let name = ModelName::new(&written.name)?;
            let events = models.import(ImportRequest {
                directory: written.directory,
                name: name.clone(),
                link: written.link,
            });
            let events = activities.track(ActivityKind::Import, name, events);
            tokio::select! {
                () = cancel.cancelled() => Err(cancelled()),
                outcome = follow(events, &progress) => outcome,
            }
        })
    }
}
