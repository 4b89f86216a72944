//! Quantized packages in ONNX Runtime: what they compute against the original.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;

use airunner_core::quantize::{QuantizeComparison, QuantizeLevel};
use airunner_runtimes::quantize::{CompareOptions, Threads, Watcher, compare, quantize};
use support::{ask, greedy, load, onnxruntime_library, options, packages};

struct Nobody;

impl Watcher for Nobody {
    fn progress(&self, _fraction: f64) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

fn made(name: &str, level: QuantizeLevel, out: &Path) {
    quantize(&packages().join(name), level, out, &Nobody, &Threads(2)).unwrap();
}

fn compared(name: &str, out: &Path) -> QuantizeComparison {
    let options = CompareOptions {
        onnxruntime_library: onnxruntime_library(),
        threads: 1,
        text: None,
    };
    compare(&packages().join(name), out, &options, &Nobody).unwrap()
}

#[test]
fn more_bits_say_more_of_the_same() {
    for name in [
        "llama-gqa",
        "llama-hf",
        "llama-hf-fp16",
        "gemma-hf",
        "phi3-hf",
        "mistral-gqa",
    ] {
        let levels = [QuantizeLevel::Q8, QuantizeLevel::Q4M, QuantizeLevel::Q2];
        let diverged = levels.map(|level| {
            let out = tempfile::tempdir().unwrap();
            made(name, level, out.path());
            let found = compared(name, out.path());
            assert!(found.tokens >= 100, "{name}: {found:?}");
            found.kl_divergence
        });
        // Random weights give sharp predictions, so that a little is much.
        let [eight, four, two] = diverged;
        let grows = eight < 0.03 && four > eight && four < 1.0 && two > four;
        assert!(grows, "{name}: {diverged:?}");
    }
}

#[test]
fn half_precision_changes_next_to_nothing() {
    for name in ["llama-gqa", "qwen3-hf"] {
        let out = tempfile::tempdir().unwrap();
        made(name, QuantizeLevel::F16, out.path());
        let found = compared(name, out.path());
        assert!(
            found.kl_divergence < 1e-4 && found.same_first > 0.97,
            "{name}: {found:?}"
        );
    }
}

#[test]
fn a_package_compared_with_itself_is_the_same() {
    let found = compared("llama-gqa", &packages().join("llama-gqa"));
    assert!(found.kl_divergence < 1e-9, "{found:?}");
    assert!((found.perplexity_before - found.perplexity_after).abs() < 1e-9 * found.perplexity_before);
    assert!((found.same_first - 1.0).abs() < f64::EPSILON);
}

#[test]
fn quantized_packages_load_and_answer() {
    for (name, level) in [
        ("qwen2-gqa", QuantizeLevel::Q4M),
        ("qwen3-hf", QuantizeLevel::Q4S),
        ("llama-bare", QuantizeLevel::Q6),
        ("llama-hf-keep", QuantizeLevel::Q2),
        ("llama-hf-nocache", QuantizeLevel::Q4M),
        ("llama-hf-bf16cache", QuantizeLevel::Q4M),
        ("gemma-gqa-window", QuantizeLevel::Q4M),
    ] {
        let out = tempfile::tempdir().unwrap();
        made(name, level, out.path());
        let model = load(&options(out.path())).unwrap();
        let answer = ask(&*model, greedy("Hello", Some(8))).unwrap();
        assert!(answer.done().usage.completion_tokens > 0, "{name}");
    }
}
