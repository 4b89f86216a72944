use airunner_core::model::Model;
use airunner_core::quantize::{QuantizeComparison, QuantizeReport};
use serde::Serialize;

use crate::units;

/// A model that was made smaller.
#[derive(Debug, Serialize)]
pub(crate) struct QuantizedView {
    name: String,
    level: &'static str,
    bytes_before: u64,
    bytes_after: u64,
    matrices: u32,
    relative_error: f64,
    errors: Vec<MatrixView>,
    comparison: Option<ComparisonView>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct MatrixView {
    name: String,
    bits: u32,
    relative_error: f64,
}

#[derive(Debug, Serialize)]
struct ComparisonView {
    tokens: u32,
    kl_divergence: f64,
    perplexity_before: f64,
    perplexity_after: f64,
    same_first: f64,
}

impl QuantizedView {
    pub(crate) fn new(model: &Model, report: &QuantizeReport) -> Self {
        let matrices = report.errors.iter().map(|matrix| MatrixView {
            name: matrix.name.clone(),
            bits: matrix.bits,
            relative_error: matrix.relative_error,
        });
        Self {
            name: model.name.to_string(),
            level: report.level.as_str(),
            bytes_before: report.bytes_before,
            bytes_after: report.bytes_after,
            matrices: report.matrices,
            relative_error: report.relative_error,
            errors: matrices.collect(),
            comparison: report.comparison.map(ComparisonView::from),
            warnings: report.warnings.clone(),
        }
    }
}

impl From<QuantizeComparison> for ComparisonView {
    fn from(comparison: QuantizeComparison) -> Self {
        Self {
            tokens: comparison.tokens,
            kl_divergence: comparison.kl_divergence,
            perplexity_before: comparison.perplexity_before,
            perplexity_after: comparison.perplexity_after,
            same_first: comparison.same_first,
        }
    }
}

pub(crate) fn quantized_lines(model: &Model, report: &QuantizeReport) -> Vec<String> {
    let part = if report.bytes_before == 0 {
        100.0
    } else {
        report.bytes_after as f64 / report.bytes_before as f64 * 100.0
    };
    let mut lines = vec![
        format!(
            "{} is installed: {} of {} ({part:.0} %)",
            model.name,
            units::size(report.bytes_after),
            units::size(report.bytes_before)
        ),
        format!(
            "Weights: {} matrices, relative error {:.2} %",
            report.matrices,
            report.relative_error * 100.0
        ),
    ];
    for matrix in report.errors.iter().take(3) {
        lines.push(format!(
            "  {} ({} bits): {:.2} %",
            matrix.name,
            matrix.bits,
            matrix.relative_error * 100.0
        ));
    }
    if let Some(comparison) = &report.comparison {
        lines.push(format!(
            "Answers, over {} tokens: KL divergence {:.4}, perplexity {:.2} instead of {:.2}, {:.1} % the same first choice",
            comparison.tokens,
            comparison.kl_divergence,
            comparison.perplexity_after,
            comparison.perplexity_before,
            comparison.same_first * 100.0
        ));
    }
    lines.extend(
        report
            .warnings
            .iter()
            .map(|warning| format!("Warning: {warning}")),
    );
    lines
}

#[cfg(test)]
mod tests {
    use airunner_core::lifecycle::StateName;
    use airunner_core::quantize::{MatrixError, QuantizeLevel};

    use super::super::samples;
    use super::*;

    #[test]
    fn a_report_reads_well() {
        let model = samples::model(StateName::Unloaded, None);
        let report = QuantizeReport {
            level: QuantizeLevel::Q4M,
            bytes_before: 1 << 30,
            bytes_after: 300 << 20,
            matrices: 12,
            relative_error: 0.0593,
            errors: vec![MatrixError {
                name: "up".to_owned(),
                bits: 4,
                relative_error: 0.078,
            }],
            comparison: Some(QuantizeComparison {
                tokens: 504,
                kl_divergence: 0.0123,
                perplexity_before: 11.0,
                perplexity_after: 11.25,
                same_first: 0.931,
            }),
            warnings: vec!["careful".to_owned()],
        };
        let lines = quantized_lines(&model, &report);
        assert!(
            lines[0].starts_with("tiny is installed: ") && lines[0].ends_with("(29 %)"),
            "{lines:?}"
        );
        assert_eq!(
            lines[1..],
            [
                "Weights: 12 matrices, relative error 5.93 %",
                "  up (4 bits): 7.80 %",
                "Answers, over 504 tokens: KL divergence 0.0123, perplexity 11.25 instead of 11.00, 93.1 % the same first \
                 choice",
                "Warning: careful",
            ]
        );
        let json = serde_json::to_value(QuantizedView::new(&model, &report)).unwrap();
        assert_eq!(json["comparison"]["tokens"], 504);
        assert_eq!(json["level"], "q4_m");
    }
}
