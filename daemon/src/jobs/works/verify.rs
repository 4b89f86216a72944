//! Checking the files of an installed model.

use airunner_core::activity::ActivityKind;
use airunner_core::download::{FileProblem, VerifyEvent, VerifyRequest};
use airunner_core::{Fault, ModelName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{cancelled, read, shutting_down, write};
use crate::activities::{Activities, Step as _};
use crate::downloads::{Downloads, VerifyEvents};
use crate::jobs::{Going, Outcome, Progress, Work};

/// See the module.
pub struct Verify {
    pub activities: Activities,
    pub downloads: Downloads,
}

/// A request as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    model: String,
    repair: bool,
}

impl Verify {
    pub const KIND: &str = "verify";

    /// How a request is given to a job.
    pub fn request(request: &VerifyRequest) -> Result<Value, Fault> {
        write(&Written {
            model: request.name.to_string(),
            repair: request.repair,
        })
    }
}

async fn follow(mut events: VerifyEvents, progress: &Progress) -> Outcome {
    while let Some(event) = events.recv().await {
        let event = event?;
        progress.reached(event.fraction().unwrap_or(1.0));
        if let VerifyEvent::Finished(problems) = event {
            let problems: Vec<Value> = problems.iter().map(shown).collect();
            return Ok(json!({"problems": problems}));
        }
    }
    Err(shutting_down())
}

fn shown(problem: &FileProblem) -> Value {
    json!({
        "path": problem.path,
        "problem": problem.problem,
        "repaired": problem.repaired,
    })
}

impl Work for Verify {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn at_once(&self) -> usize {
        2
    }

    /// It reads everything again.
    fn resumes(&self) -> bool {
        true
    }

    fn run(
        &self,
        request: Value,
        _noted: Option<Value>,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Going {
        let (downloads, activities) = (self.downloads.clone(), self.activities.clone());
        Box::pin(async move {
            let written: Written = read(request)?;
            let name = ModelName::new(&written.model)?;
            let events = downloads.verify(VerifyRequest {
                name: name.clone(),
                repair: written.repair,
            });
            let events = activities.track(ActivityKind::Verify, name, events);
            tokio::select! {
                () = cancel.cancelled() => Err(cancelled()),
                outcome = follow(events, &progress) => outcome,
            }
        })
    }
}
