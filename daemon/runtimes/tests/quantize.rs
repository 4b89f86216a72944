//! Quantized packages in ONNX Runtime: what they compute against the original.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;

use airunner_core::quantize::{QuantizeComparison, QuantizeLevel};
use airunner_runtimes::quantize::{
    CompareOptions, Compared, QuantizeError, Threads, Watcher, compare, quantize,
};
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
    let compared = compared_on(name, out, None, &Nobody).unwrap();
    assert!(!compared.is_cut);
    compared.comparison
}

fn compared_on(
    name: &str,
    out: &Path,
    text: Option<String>,
    watcher: &dyn Watcher,
) -> Result<Compared, QuantizeError> {
    let options = CompareOptions {
        onnxruntime_library: onnxruntime_library(),
        threads: 1,
        text,
    };
    compare(&packages().join(name), out, &options, watcher)
}

#[test]
fn more_bits_say_more_of_the_same() {
    let mut all = [0.0; QuantizeLevel::ALL.len()];
    for name in ["llama-gqa", "llama-hf", "gemma-hf", "phi3-hf", "mistral-gqa"] {
        let diverged = QuantizeLevel::ALL.map(|level| {
            let out = tempfile::tempdir().unwrap();
            made(name, level, out.path());
            let found = compared(name, out.path());
            assert!(found.tokens >= 500, "{name}: {found:?}");
            found.kl_divergence
        });
        // Random weights give sharp predictions, so that a little is much.
        let [_, eight, _, four, _, two] = diverged;
        let grows = eight < 0.03 && four > eight && four < 1.0 && two > four;
        assert!(grows, "{name}: {diverged:?}");
        all.iter_mut().zip(diverged).for_each(|(all, one)| *all += one);
    }
    // Neighbours may change places in one tiny model, but not in all together.
    assert!(all.is_sorted_by(|more, fewer| more < fewer), "{all:?}");
}

/// Stops at the first look behind so much.
struct Until(f64, std::sync::Mutex<Vec<f64>>);

impl Watcher for Until {
    fn progress(&self, fraction: f64) {
        self.1.lock().unwrap().push(fraction);
    }

    fn is_cancelled(&self) -> bool {
        self.1.lock().unwrap().last().is_some_and(|last| *last >= self.0)
    }
}

#[test]
fn a_long_text_is_compared_on_window_by_window() {
    let name = "llama-gqa";
    let out = tempfile::tempdir().unwrap();
    made(name, QuantizeLevel::Q8, out.path());
    let text = "One and one is two. ".repeat(2000);
    let watcher = Until(2.0, std::sync::Mutex::default());
    let compared = compared_on(name, out.path(), Some(text.clone()), &watcher).unwrap();
    assert!(compared.is_cut, "{compared:?}");
    let found = compared.comparison;
    assert!((8000..=8192).contains(&found.tokens), "{found:?}");
    assert!(
        found.kl_divergence < 0.03 && found.perplexity_before > 1.0,
        "{found:?}"
    );
    let told = watcher.1.into_inner().unwrap();
    assert!(told.len() >= 2 * 32 && told.is_sorted(), "{told:?}");
    // It can be given up within either model.
    for part in [0.1, 0.6] {
        let watcher = Until(part, std::sync::Mutex::default());
        let error = compared_on(name, out.path(), Some(text.clone()), &watcher).unwrap_err();
        assert!(matches!(error, QuantizeError::Cancelled), "{error}");
        assert!(watcher.1.into_inner().unwrap().last().unwrap() - part < 0.1);
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

/// Its weights are bfloat16 and converted where they are read. ONNX Runtime runs that on a
/// processor, so the original is compared with as any other.
#[test]
fn weights_of_bfloat16_are_quantized_as_the_same_ones_of_32_bits() {
    for level in [QuantizeLevel::Q8, QuantizeLevel::Q4M, QuantizeLevel::Q2] {
        let [bf16, f32] = ["llama-hf-bf16", "llama-hf"].map(|name| {
            let out = tempfile::tempdir().unwrap();
            let report = quantize(&packages().join(name), level, out.path(), &Nobody, &Threads(2)).unwrap();
            (report, compared(name, out.path()), out)
        });
        let (report, found, out) = bf16;
        // Added up in the order in which threads end.
        let apart = report.relative_error - f32.0.relative_error;
        assert!(apart.abs() < 1e-9, "{level:?}: {apart}");
        assert_eq!(report.errors.len(), f32.0.errors.len(), "{level:?}");
        assert!(report.bytes_before < f32.0.bytes_before, "{level:?}: {report:?}");
        assert!(
            (found.kl_divergence - f32.1.kl_divergence).abs() < 1e-6,
            "{level:?}: {found:?}"
        );
        assert!(
            (found.perplexity_before - f32.1.perplexity_before).abs() < 1e-3,
            "{level:?}: {found:?}"
        );
        let models = [&out, &f32.2].map(|out| load(&options(out.path())).unwrap());
        let answers = models.map(|model| ask(&*model, greedy("Hello", Some(8))).unwrap());
        // With 2 bits it may end at once.
        assert!(answers[0].done().usage.completion_tokens > 0, "{level:?}");
        assert_eq!(answers[0].tokens, answers[1].tokens, "{level:?}");
    }
    let out = tempfile::tempdir().unwrap();
    let source = packages().join("llama-hf-bf16");
    let error = quantize(&source, QuantizeLevel::F16, out.path(), &Nobody, &Threads(2)).unwrap_err();
    assert!(matches!(error, QuantizeError::NotSmaller { .. }), "{error}");
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
