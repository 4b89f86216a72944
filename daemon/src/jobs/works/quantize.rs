//! Making a smaller model of an installed one.

use airunner_core::activity::ActivityKind;
use airunner_core::quantize::{QuantizeEvent, QuantizeLevel, QuantizeReport, QuantizeRequest};
use airunner_core::{Fault, ModelName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{cancelled, read, shutting_down, write};
use crate::activities::Activities;
use crate::jobs::{Going, Outcome, Progress, Work};
use crate::quantize::{QuantizeEvents, Quantizer};

/// See the module. One that was cut off has left nothing, and is begun again.
pub struct Quantize {
    pub activities: Activities,
    pub quantizer: Quantizer,
}

/// A request as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    model: String,
    level: String,
    name: Option<String>,
    text: Option<String>,
}

impl Quantize {
    pub const KIND: &str = "quantize";

    /// How a request is given to a job.
    pub fn request(request: QuantizeRequest) -> Result<Value, Fault> {
        write(&Written {
            model: request.model.to_string(),
            level: request.level.as_str().to_owned(),
            name: request.name.map(|name| name.to_string()),
            text: request.text,
        })
    }
}

fn understood(request: Value) -> Result<QuantizeRequest, Fault> {
    let written: Written = read(request)?;
    let level = QuantizeLevel::parse(&written.level);
    Ok(QuantizeRequest {
        model: ModelName::new(&written.model)?,
        level: level.ok_or_else(|| Fault::internal("a job was not written by this program"))?,
        name: written.name.as_deref().map(ModelName::new).transpose()?,
        text: written.text,
    })
}

async fn follow(mut events: QuantizeEvents, progress: &Progress) -> Outcome {
    while let Some(event) = events.recv().await {
        match event? {
            QuantizeEvent::Progress(step) => progress.reached(step.fraction),
            QuantizeEvent::Installed { model, report } => {
                return Ok(json!({"model": model.name.as_str(), "report": shown(&report)}));
            }
        }
    }
    Err(shutting_down())
}

fn shown(report: &QuantizeReport) -> Value {
    let errors: Vec<Value> = report
        .errors
        .iter()
        .map(|matrix| {
            json!({
                "name": matrix.name,
                "bits": matrix.bits,
                "relative_error": matrix.relative_error,
            })
        })
        .collect();
    let comparison = report.comparison.map(|comparison| {
        json!({
            "tokens": comparison.tokens,
            "kl_divergence": comparison.kl_divergence,
            "perplexity_before": comparison.perplexity_before,
            "perplexity_after": comparison.perplexity_after,
            "same_first": comparison.same_first,
        })
    });
    json!({
        "level": report.level.as_str(),
        "bytes_before": report.bytes_before,
        "bytes_after": report.bytes_after,
        "matrices": report.matrices,
        "relative_error": report.relative_error,
        "errors": errors,
        "comparison": comparison,
        "warnings": report.warnings,
    })
}

impl Work for Quantize {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

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
        let (quantizer, activities) = (self.quantizer.clone(), self.activities.clone());
        Box::pin(async move {
            let request = understood(request)?;
            let name = request.model.clone();
            let events = quantizer.quantize(request);
            let events = activities.track(ActivityKind::Quantize, name, events);
            tokio::select! {
                () = cancel.cancelled() => Err(cancelled()),
                outcome = follow(events, &progress) => outcome,
            }
        })
    }
}
