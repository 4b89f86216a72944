//! Checking the files of an installed model.

use airunner_core::activity::ActivityKind;
use airunner_core::download::{VerifyEvent, VerifyRequest};
use airunner_core::{Fault, ModelName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{cancelled, read, share, shutting_down, write};
use crate::activities::Activities;
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
        match event? {
            VerifyEvent::Progress {
                done_bytes,
                total_bytes,
                ..
            } => progress.reached(share(done_bytes, total_bytes)),
            VerifyEvent::Finished(problems) => {
                let problems: Vec<Value> = problems
                    .into_iter()
                    .map(|problem| {
                        json!({
                            "path": problem.path,
                            "problem": problem.problem,
                            "repaired": problem.repaired,
                        })
                    })
                    .collect();
                return Ok(json!({"problems": problems}));
            }
        }
    }
    Err(shutting_down())
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
