//! Whole packages.

use std::fs;
use std::path::Path;

use airunner_core::ErrorKind;

use super::*;

/// The smallest file with a graph in it.
const GRAPH: [u8; 2] = [0x3a, 0x00];

fn package(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    home
}

fn kind_of(home: &Path) -> ErrorKind {
    inspect(home).unwrap_err().kind
}

#[test]
fn knows_the_layouts() {
    let hugging_face = package(&[
        (
            "config.json",
            br#"{"model_type": "llama", "max_position_embeddings": 64}"#,
        ),
        ("tokenizer.json", b"{}"),
        ("chat_template.jinja", b"{{ messages }}"),
        ("onnx/model.onnx", &GRAPH),
        ("onnx/model_q4.onnx", &GRAPH),
        ("onnx/model_q4.onnx_data", b"unused"),
        (MANIFEST, b"{}"),
    ]);
    let summary = inspect(hugging_face.path()).unwrap();
    assert_eq!(summary.format, PackageFormat::HuggingFace);
    assert_eq!(
        (summary.architecture.as_str(), summary.context_length),
        ("llama", Some(64))
    );
    assert_eq!(summary.variants, ["onnx/model_q4.onnx", "onnx/model.onnx"]);
    assert_eq!(summary.chat_template.as_deref(), Some("{{ messages }}"));
    assert_eq!(
        summary.needed,
        [
            "chat_template.jinja",
            "config.json",
            "onnx/model_q4.onnx",
            "tokenizer.json"
        ]
    );
    assert_eq!(summary.files.len(), 6);

    let bare = package(&[("model.onnx", &GRAPH), ("tokenizer.json", b"{}")]);
    assert_eq!(inspect(bare.path()).unwrap().format, PackageFormat::Bare);

    let genai = package(&[
        (
            "genai_config.json",
            br#"{"model": {"type": "phi3", "decoder": {"filename": "phi.onnx"}}}"#,
        ),
        ("phi.onnx", &GRAPH),
        ("tokenizer.json", b"{}"),
        (
            "tokenizer_config.json",
            br#"{"chat_template": [{"name": "default", "template": "x"}]}"#,
        ),
    ]);
    let summary = inspect(genai.path()).unwrap();
    assert_eq!(
        (summary.format, summary.architecture.as_str()),
        (PackageFormat::GenAi, "phi3")
    );
    assert_eq!(summary.chat_template.as_deref(), Some("x"));
    assert_eq!(summary.capabilities, [Capability::Completion, Capability::Chat]);
}

#[test]
fn refuses_what_is_no_package_or_not_whole() {
    assert_eq!(kind_of(Path::new("/nonexistent/anywhere")), ErrorKind::NotFound);
    assert_eq!(
        kind_of(package(&[("readme.md", b"")]).path()),
        ErrorKind::ModelIncompatible
    );
    assert_eq!(
        kind_of(package(&[("model.onnx", &GRAPH)]).path()),
        ErrorKind::ModelInvalid
    );
    let empty = package(&[("model.onnx", b""), ("tokenizer.json", b"{}")]);
    assert_eq!(kind_of(empty.path()), ErrorKind::ModelInvalid);
    let outside = package(&[
        (
            "genai_config.json",
            br#"{"model": {"decoder": {"filename": "../../etc/passwd"}}}"#,
        ),
        ("tokenizer.json", b"{}"),
    ]);
    assert_eq!(kind_of(outside.path()), ErrorKind::ModelInvalid);
    let whisper = package(&[
        ("genai_config.json", br#"{"model": {"encoder": {}}}"#),
        ("tokenizer.json", b"{}"),
    ]);
    assert_eq!(kind_of(whisper.path()), ErrorKind::ModelIncompatible);
}

mod estimates {
    use super::*;
    use airunner_core::memory::Quantization;

    fn parity(package: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/testdata/parity")
            .join(package)
    }

    #[test]
    fn variants_differ_in_level_and_weights() {
        let estimate = estimate(&parity("llama-hf-multi"), &EstimateOptions::default()).unwrap();
        let level = |file: &str| {
            let found = estimate.variants.iter().find(|variant| variant.file == file);
            found.map(|variant| variant.level)
        };
        assert_eq!(level("onnx/model.onnx"), Some(Quantization::None));
        assert_eq!(level("onnx/model_fp16.onnx"), Some(Quantization::Float16));
        assert_eq!(level("onnx/model_q4.onnx"), Some(Quantization::Int4));
    }

    #[test]
    fn the_cache_is_what_the_graph_declares() {
        let of = |package: &str| {
            let estimate = estimate(&parity(package), &EstimateOptions::default()).unwrap();
            estimate.variants[0].clone()
        };
        // Past and present live at once where attention is made of standard operators.
        assert_eq!(
            of("llama-hf").cache_bytes_per_token,
            2 * of("llama-gqa").cache_bytes_per_token
        );
        assert_eq!(of("llama-hf-nocache").cache_bytes_per_token, 0);
        assert!(of("llama-hf-nocache").activation_bytes_per_token > 0);
        assert!(of("llama-hf-fp16").cache_bytes_per_token < of("llama-hf").cache_bytes_per_token);
    }

    #[test]
    fn a_damaged_graph_is_refused_with_its_name() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("model.onnx"), "no graph").unwrap();
        fs::write(home.path().join("tokenizer.json"), "{}").unwrap();
        let fault = estimate(home.path(), &EstimateOptions::default()).unwrap_err();
        assert_eq!(fault.kind, airunner_core::ErrorKind::ModelInvalid);
        assert!(fault.message.contains("model.onnx"), "{fault}");
    }
}
