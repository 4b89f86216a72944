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
