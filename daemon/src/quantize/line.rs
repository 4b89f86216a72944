//! What the process says on its standard output: a line of JSON at a time.

use airunner_core::quantize::{
    MatrixError, QuantizeComparison, QuantizeLevel, QuantizeProgress, QuantizeReport, QuantizeStage,
};
use airunner_core::{ErrorKind, Fault};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Line {
    Progress { stage: String, fraction: f64 },
    Report(Report),
    Fault { reason: String, message: String },
}

#[derive(Serialize, Deserialize)]
pub(super) struct Report {
    level: String,
    bytes_before: u64,
    bytes_after: u64,
    matrices: u32,
    relative_error: f64,
    errors: Vec<Matrix>,
    comparison: Option<Comparison>,
    warnings: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Matrix {
    name: String,
    bits: u32,
    relative_error: f64,
}

#[derive(Serialize, Deserialize)]
struct Comparison {
    tokens: u32,
    /// Absent where it is no number: JSON has none for that.
    kl_divergence: Option<f64>,
    perplexity_before: Option<f64>,
    perplexity_after: Option<f64>,
    same_first: f64,
}

/// What was understood of a line.
pub(super) enum Said {
    Progress(QuantizeProgress),
    Report(QuantizeReport),
    Fault(Fault),
}

impl Line {
    pub(super) fn progress(stage: QuantizeStage, fraction: f64) -> Self {
        Self::Progress {
            stage: stage.as_str().to_owned(),
            fraction,
        }
    }

    pub(super) fn fault(fault: &Fault) -> Self {
        Self::Fault {
            reason: fault.kind.to_string(),
            message: fault.message.clone(),
        }
    }

    /// `None` for what the process never says.
    pub(super) fn understood(text: &str) -> Option<Said> {
        match serde_json::from_str(text).ok()? {
            Self::Progress { stage, fraction } => Some(Said::Progress(QuantizeProgress {
                stage: QuantizeStage::parse(&stage)?,
                fraction,
            })),
            Self::Report(report) => Some(Said::Report(report.read()?)),
            Self::Fault { reason, message } => {
                Some(Said::Fault(Fault::new(ErrorKind::from_reason(&reason)?, message)))
            }
        }
    }
}

impl From<QuantizeReport> for Report {
    fn from(report: QuantizeReport) -> Self {
        let finite = |number: f64| Some(number).filter(|number| number.is_finite());
        Self {
            level: report.level.as_str().to_owned(),
            bytes_before: report.bytes_before,
            bytes_after: report.bytes_after,
            matrices: report.matrices,
            relative_error: report.relative_error,
            errors: report
                .errors
                .into_iter()
                .map(|matrix| Matrix {
                    name: matrix.name,
                    bits: matrix.bits,
                    relative_error: matrix.relative_error,
                })
                .collect(),
            comparison: report.comparison.map(|comparison| Comparison {
                tokens: comparison.tokens,
                kl_divergence: finite(comparison.kl_divergence),
                perplexity_before: finite(comparison.perplexity_before),
                perplexity_after: finite(comparison.perplexity_after),
                same_first: comparison.same_first,
            }),
            warnings: report.warnings,
        }
    }
}

impl Report {
    fn read(self) -> Option<QuantizeReport> {
        let number = |number: Option<f64>| number.unwrap_or(f64::INFINITY);
        Some(QuantizeReport {
            level: QuantizeLevel::parse(&self.level)?,
            bytes_before: self.bytes_before,
            bytes_after: self.bytes_after,
            matrices: self.matrices,
            relative_error: self.relative_error,
            errors: self
                .errors
                .into_iter()
                .map(|matrix| MatrixError {
                    name: matrix.name,
                    bits: matrix.bits,
                    relative_error: matrix.relative_error,
                })
                .collect(),
            comparison: self.comparison.map(|comparison| QuantizeComparison {
                tokens: comparison.tokens,
                kl_divergence: number(comparison.kl_divergence),
                perplexity_before: number(comparison.perplexity_before),
                perplexity_after: number(comparison.perplexity_after),
                same_first: comparison.same_first,
            }),
            warnings: self.warnings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &Line) -> Option<Said> {
        Line::understood(&serde_json::to_string(line).unwrap())
    }

    #[test]
    fn what_is_said_is_understood() {
        let line = Line::progress(QuantizeStage::Comparing, 0.25);
        let Some(Said::Progress(progress)) = said(&line) else {
            panic!("no progress")
        };
        assert_eq!(
            (progress.stage, progress.fraction),
            (QuantizeStage::Comparing, 0.25)
        );
        let report = QuantizeReport {
            level: QuantizeLevel::Q4M,
            bytes_before: 10,
            bytes_after: 3,
            matrices: 1,
            relative_error: 0.07,
            errors: vec![MatrixError {
                name: "w".to_owned(),
                bits: 4,
                relative_error: 0.07,
            }],
            comparison: Some(QuantizeComparison {
                tokens: 5,
                kl_divergence: 0.01,
                perplexity_before: 9.0,
                perplexity_after: f64::INFINITY,
                same_first: 0.9,
            }),
            warnings: vec!["careful".to_owned()],
        };
        let Some(Said::Report(read)) = said(&Line::Report(report.clone().into())) else {
            panic!("no report")
        };
        assert_eq!(read, report);
        let fault = Fault::new(ErrorKind::DiskFull, "the disk is full");
        let Some(Said::Fault(read)) = said(&Line::fault(&fault)) else {
            panic!("no fault")
        };
        assert_eq!((read.kind, read.message), (fault.kind, fault.message));
        assert!(Line::understood("thread panicked at").is_none());
    }
}
