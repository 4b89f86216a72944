//! What a model would take.

use airunner_core::memory::Estimate;
use serde::Serialize;

use crate::units;

/// `airunner models estimate`.
#[derive(Debug, Serialize)]
pub(crate) struct EstimateView<'a> {
    model: &'a str,
    variant: &'a str,
    level: &'static str,
    device: String,
    context_length: u32,
    weights_bytes: u64,
    cache_bytes: u64,
    activation_bytes: u64,
    overhead_bytes: u64,
    total_bytes: u64,
    learned: bool,
    learned_bytes: Option<u64>,
    fits: bool,
    would_unload: Vec<String>,
    refusal: Option<&'a str>,
}

impl<'a> EstimateView<'a> {
    pub(crate) fn new(model: &'a str, estimate: &'a Estimate) -> Self {
        let parts = estimate.computed;
        Self {
            model,
            variant: &estimate.variant,
            level: estimate.level.as_str(),
            device: estimate.device.to_string(),
            context_length: estimate.context_length,
            weights_bytes: parts.weights_bytes,
            cache_bytes: parts.cache_bytes,
            activation_bytes: parts.activation_bytes,
            overhead_bytes: parts.overhead_bytes,
            total_bytes: estimate.total_bytes,
            learned: estimate.learned_bytes.is_some(),
            learned_bytes: estimate.learned_bytes,
            fits: estimate.fits,
            would_unload: estimate.would_unload.iter().map(ToString::to_string).collect(),
            refusal: Some(&*estimate.refusal).filter(|text| !text.is_empty()),
        }
    }
}

/// For people: the parts, the sum, and what would have to go.
pub(crate) fn estimate_lines(estimate: &Estimate) -> Vec<String> {
    let parts = estimate.computed;
    let mut lines = vec![
        format!(
            "{} ({}) on {}, context {} tokens",
            estimate.variant,
            estimate.level.description(),
            estimate.device,
            estimate.context_length
        ),
        part("weights", parts.weights_bytes),
        part("cache of one conversation", parts.cache_bytes),
        part("activations", parts.activation_bytes),
        part("the process itself", parts.overhead_bytes),
        part("computed", parts.total()),
    ];
    lines.push(match estimate.learned_bytes {
        Some(bytes) => part("measured when loaded last", bytes),
        None => format!("  {:<26} {:>9}", "measured when loaded last", "never"),
    });
    lines.push(verdict(estimate));
    lines
}

fn part(name: &str, bytes: u64) -> String {
    format!("  {name:<26} {:>9}", units::size(bytes))
}

fn verdict(estimate: &Estimate) -> String {
    let needed = units::size(estimate.total_bytes);
    let names: Vec<String> = estimate.would_unload.iter().map(ToString::to_string).collect();
    match (estimate.fits, names.is_empty()) {
        (true, true) => format!("It fits: {needed} would be set aside."),
        (true, false) => format!(
            "It fits: {needed} would be set aside, and {} would be unloaded.",
            names.join(", ")
        ),
        (false, _) => format!("It does not fit: {}", estimate.refusal),
    }
}

#[cfg(test)]
mod tests {
    use airunner_core::hardware::Device;
    use airunner_core::memory::{Footprint, Quantization};
    use serde_json::{Value, json};

    use super::super::samples::{name, value};
    use super::*;

    fn estimate() -> Estimate {
        Estimate {
            variant: "onnx/model_q4.onnx".into(),
            level: Quantization::Int4,
            device: Device::Cpu,
            context_length: 4096,
            computed: Footprint {
                weights_bytes: 600 << 20,
                cache_bytes: 48 << 20,
                activation_bytes: 20 << 20,
                overhead_bytes: 60 << 20,
            },
            step_bytes: 500 << 20,
            learned_bytes: None,
            total_bytes: 728 << 20,
            fits: true,
            would_unload: vec![name("other")],
            refusal: String::new(),
        }
    }

    #[test]
    fn an_estimate_has_the_fields_of_the_contract() {
        assert_eq!(
            value(&EstimateView::new("tiny", &estimate())),
            json!({
                "model": "tiny", "variant": "onnx/model_q4.onnx", "level": "4bit", "device": "cpu",
                "context_length": 4096, "weights_bytes": 600 << 20, "cache_bytes": 48 << 20,
                "activation_bytes": 20 << 20, "overhead_bytes": 60 << 20, "total_bytes": 728 << 20,
                "learned": false, "learned_bytes": null, "fits": true, "would_unload": ["other"],
                "refusal": null
            })
        );
        let learned = Estimate {
            learned_bytes: Some(7),
            refusal: "no".into(),
            ..estimate()
        };
        let learned = value(&EstimateView::new("tiny", &learned));
        assert_eq!(
            (
                &learned["learned"],
                &learned["learned_bytes"],
                &learned["refusal"]
            ),
            (&Value::from(true), &Value::from(7), &Value::from("no"))
        );
    }

    #[test]
    fn people_see_the_parts_and_the_verdict() {
        let lines = estimate_lines(&estimate());
        assert_eq!(
            lines,
            [
                "onnx/model_q4.onnx (4-bit quantization) on cpu, context 4096 tokens",
                "  weights                      600 MiB",
                "  cache of one conversation   48.0 MiB",
                "  activations                 20.0 MiB",
                "  the process itself          60.0 MiB",
                "  computed                     728 MiB",
                "  measured when loaded last      never",
                "It fits: 728 MiB would be set aside, and other would be unloaded.",
            ]
        );
        let refused = Estimate {
            fits: false,
            refusal: "it needs 9 GiB and there are 8".into(),
            ..estimate()
        };
        assert_eq!(
            verdict(&refused),
            "It does not fit: it needs 9 GiB and there are 8"
        );
    }
}
