//! Models made smaller: request, progress, report.

use airunner_core::quantize::{
    MAX_TEXT_BYTES, MatrixError, QuantizeComparison, QuantizeEvent, QuantizeLevel, QuantizeProgress,
    QuantizeReport, QuantizeRequest, QuantizeStage,
};
use airunner_core::{Fault, ModelName};

use super::wire::{answered, at_most_bytes, known, non_empty, refused};
use crate::v1;

impl From<QuantizeRequest> for v1::QuantizeModelRequest {
    fn from(request: QuantizeRequest) -> Self {
        Self {
            name: request.model.to_string(),
            level: request.level.as_str().to_owned(),
            target: request.name.map(|name| name.to_string()).unwrap_or_default(),
            text: request.text,
        }
    }
}

impl TryFrom<v1::QuantizeModelRequest> for QuantizeRequest {
    type Error = Fault;

    fn try_from(wire: v1::QuantizeModelRequest) -> Result<Self, Fault> {
        at_most_bytes(wire.text.as_deref().unwrap_or_default(), MAX_TEXT_BYTES, "text")?;
        let level = QuantizeLevel::parse(&wire.level);
        Ok(Self {
            model: ModelName::new(&wire.name)?,
            level: refused(level, "level", &wire.level, &QuantizeLevel::names())?,
            name: non_empty(wire.target)
                .as_deref()
                .map(ModelName::new)
                .transpose()?,
            text: wire.text,
        })
    }
}

impl From<QuantizeEvent> for v1::QuantizeModelResponse {
    fn from(event: QuantizeEvent) -> Self {
        use v1::quantize_model_response::Event;
        let event = match event {
            QuantizeEvent::Progress(progress) => Event::Progress(v1::QuantizeProgress {
                stage: progress.stage.as_str().to_owned(),
                fraction: progress.fraction,
            }),
            QuantizeEvent::Installed { model, report } => Event::Finished(v1::QuantizedModel {
                model: Some((*model).into()),
                report: Some((*report).into()),
            }),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<v1::QuantizeModelResponse> for QuantizeEvent {
    type Error = Fault;

    fn try_from(wire: v1::QuantizeModelResponse) -> Result<Self, Fault> {
        use v1::quantize_model_response::Event;
        match answered(wire.event, "event")? {
            Event::Progress(progress) => Ok(Self::Progress(QuantizeProgress {
                stage: known(QuantizeStage::parse(&progress.stage), "stage", &progress.stage)?,
                fraction: progress.fraction,
            })),
            Event::Finished(finished) => Ok(Self::Installed {
                model: Box::new(answered(finished.model, "model")?.try_into()?),
                report: Box::new(answered(finished.report, "report")?.try_into()?),
            }),
        }
    }
}

impl From<QuantizeReport> for v1::QuantizeReport {
    fn from(report: QuantizeReport) -> Self {
        Self {
            level: report.level.as_str().to_owned(),
            bytes_before: report.bytes_before,
            bytes_after: report.bytes_after,
            matrices: report.matrices,
            relative_error: report.relative_error,
            errors: report
                .errors
                .into_iter()
                .map(|matrix| v1::MatrixError {
                    name: matrix.name,
                    bits: matrix.bits,
                    relative_error: matrix.relative_error,
                })
                .collect(),
            comparison: report.comparison.map(|comparison| v1::QuantizeComparison {
                tokens: comparison.tokens,
                kl_divergence: comparison.kl_divergence,
                perplexity_before: comparison.perplexity_before,
                perplexity_after: comparison.perplexity_after,
                same_first: comparison.same_first,
            }),
            warnings: report.warnings,
        }
    }
}

impl TryFrom<v1::QuantizeReport> for QuantizeReport {
    type Error = Fault;

    fn try_from(wire: v1::QuantizeReport) -> Result<Self, Fault> {
        Ok(Self {
            level: known(QuantizeLevel::parse(&wire.level), "level", &wire.level)?,
            bytes_before: wire.bytes_before,
            bytes_after: wire.bytes_after,
            matrices: wire.matrices,
            relative_error: wire.relative_error,
            errors: wire
                .errors
                .into_iter()
                .map(|matrix| MatrixError {
                    name: matrix.name,
                    bits: matrix.bits,
                    relative_error: matrix.relative_error,
                })
                .collect(),
            comparison: wire.comparison.map(|comparison| QuantizeComparison {
                tokens: comparison.tokens,
                kl_divergence: comparison.kl_divergence,
                perplexity_before: comparison.perplexity_before,
                perplexity_after: comparison.perplexity_after,
                same_first: comparison.same_first,
            }),
            warnings: wire.warnings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> QuantizeRequest {
        QuantizeRequest {
            model: ModelName::new("owner/model").unwrap(),
            level: QuantizeLevel::Q4S,
            name: Some(ModelName::new("small").unwrap()),
            text: Some("A text.".to_owned()),
        }
    }

    #[test]
    fn requests_and_events_come_back_as_they_went() {
        let plain = QuantizeRequest {
            name: None,
            text: None,
            ..request()
        };
        for request in [request(), plain] {
            let wire = v1::QuantizeModelRequest::from(request.clone());
            assert_eq!(QuantizeRequest::try_from(wire).unwrap(), request);
        }
        let progress = QuantizeEvent::Progress(QuantizeProgress {
            stage: QuantizeStage::Quantizing,
            fraction: 0.5,
        });
        let wire = v1::QuantizeModelResponse::from(progress.clone());
        assert_eq!(QuantizeEvent::try_from(wire).unwrap(), progress);
        let report = QuantizeReport {
            level: QuantizeLevel::Q4M,
            bytes_before: 100,
            bytes_after: 30,
            matrices: 2,
            relative_error: 0.07,
            errors: vec![MatrixError {
                name: "w".to_owned(),
                bits: 4,
                relative_error: 0.08,
            }],
            comparison: Some(QuantizeComparison {
                tokens: 9,
                kl_divergence: 0.1,
                perplexity_before: 10.0,
                perplexity_after: 11.0,
                same_first: 0.9,
            }),
            warnings: vec!["careful".to_owned()],
        };
        let wire = v1::QuantizeReport::from(report.clone());
        assert_eq!(QuantizeReport::try_from(wire).unwrap(), report);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let wire = v1::QuantizeModelRequest::from(request());
        let strange = v1::QuantizeModelRequest {
            level: "q5".to_owned(),
            ..wire.clone()
        };
        let message = QuantizeRequest::try_from(strange).unwrap_err().message;
        assert!(message.contains("q4_m"), "{message}");
        let long = v1::QuantizeModelRequest {
            text: Some("x".repeat(MAX_TEXT_BYTES + 1)),
            ..wire
        };
        assert!(QuantizeRequest::try_from(long).is_err());
        let empty = v1::QuantizeModelResponse { event: None };
        assert!(QuantizeEvent::try_from(empty).is_err());
    }
}
