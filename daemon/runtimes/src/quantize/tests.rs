//! Packages of the tests, quantized and opened again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use airunner_core::ErrorKind;
use airunner_core::memory::Quantization;
use airunner_core::quantize::QuantizeLevel;
use airunner_kernels::Threads;

use super::*;
use crate::graph::edit::Graph;
use crate::graph::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::graph::{GRAPH_FILE, WEIGHTS_FILE};
use crate::package::{Files, Package, level_of};
use prost::Message as _;

fn parity(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/testdata/parity")
        .join(name)
}

/// Cancels after so many looks.
struct Patience(AtomicU32);

impl Patience {
    fn endless() -> Self {
        Self(AtomicU32::new(u32::MAX))
    }
}

impl Watcher for Patience {
    fn progress(&self, fraction: f64) {
        assert!((0.0..=1.0).contains(&fraction), "{fraction}");
    }

    fn is_cancelled(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_err()
    }
}

fn made(name: &str, level: QuantizeLevel) -> (tempfile::TempDir, airunner_core::quantize::QuantizeReport) {
    let out = tempfile::tempdir().unwrap();
    let report = quantize(
        &parity(name),
        level,
        out.path(),
        &Patience::endless(),
        &Threads(2),
    )
    .unwrap();
    (out, report)
}

fn graph_of(out: &Path) -> (Package, ModelProto) {
    let package = Package::open(out).unwrap();
    let graph = fs::read(package.files().locate(package.variant()).unwrap().0).unwrap();
    (package, ModelProto::decode(&graph[..]).unwrap())
}

#[test]
fn every_layout_and_level_makes_a_package_that_is_understood() {
    for (name, level, expected) in [
        ("llama-gqa", QuantizeLevel::Q4M, Quantization::Int4),
        ("llama-hf", QuantizeLevel::Q4S, Quantization::Int4),
        ("llama-bare", QuantizeLevel::Q8, Quantization::Int8),
        ("llama-hf-fp16", QuantizeLevel::Q6, Quantization::Int4),
        ("qwen2-gqa", QuantizeLevel::F16, Quantization::Float16),
        ("phi3-hf", QuantizeLevel::Q8, Quantization::Int8),
        ("gemma-gqa", QuantizeLevel::Q2, Quantization::Int2),
        ("mistral-gqa", QuantizeLevel::Q6, Quantization::Int8),
    ] {
        let (out, report) = made(name, level);
        let (package, _) = graph_of(out.path());
        let found = level_of(package.files(), package.variant()).unwrap();
        // With so few weights, blocks of other precisions may outweigh those that give the name.
        if level != QuantizeLevel::Q2 && level != QuantizeLevel::Q6 {
            assert_eq!(found, expected, "{name}");
        }
        assert!(report.bytes_after < report.bytes_before, "{name}: {report:?}");
        // Every matrix once, the worst first.
        assert!(report.matrices > 8 && report.errors.len() == report.matrices as usize);
        assert!(
            report
                .errors
                .is_sorted_by(|one, next| one.relative_error >= next.relative_error)
        );
        let names: std::collections::HashSet<_> = report.errors.iter().map(|one| &one.name).collect();
        assert_eq!(names.len(), report.errors.len(), "{name}");
        assert!(out.path().join("tokenizer.json").is_file());
        assert!(out.path().join("golden.json").is_file());
    }
}

#[test]
fn a_tied_table_shares_the_bytes_of_the_head() {
    for name in ["llama-gqa", "llama-hf"] {
        let (out, _) = made(name, QuantizeLevel::Q4M);
        let (_, model) = graph_of(out.path());
        let graph = model.graph.unwrap();
        let table = graph
            .node
            .iter()
            .find(|node| node.op_type == "GatherBlockQuantized")
            .unwrap();
        let place = |name: &str| {
            let tensor = graph
                .initializer
                .iter()
                .find(|tensor| tensor.name == name)
                .unwrap();
            let entry = |key: &str| {
                let entries = tensor.external_data.iter();
                entries
                    .clone()
                    .find(|entry| entry.key == key)
                    .unwrap()
                    .value
                    .clone()
            };
            assert_eq!(entry("location"), WEIGHTS_FILE);
            assert_eq!(entry("offset").parse::<u64>().unwrap() % 64, 0);
            (entry("offset"), entry("length"))
        };
        let shared = graph
            .node
            .iter()
            .filter(|node| node.op_type == "MatMulNBits" && place(&node.input[1]) == place(&table.input[0]));
        assert_eq!(shared.count(), 1, "{name}");
        let imported = model
            .opset_import
            .iter()
            .filter(|import| import.domain == "com.microsoft");
        assert_eq!(imported.count(), 1);
        assert!(
            graph
                .node
                .iter()
                .all(|node| { node.op_type != "MatMulNBits" || node.integer("accuracy_level") == Some(4) })
        );
    }
}

#[test]
fn what_is_quantized_already_is_refused() {
    let error = needs(&parity("llama-gqa-int4"), QuantizeLevel::Q4M).unwrap_err();
    assert!(matches!(error, QuantizeError::Quantized { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::ModelIncompatible);
    let error = needs(&parity("llama-hf-fp16"), QuantizeLevel::F16).unwrap_err();
    assert!(matches!(error, QuantizeError::NotSmaller { .. }), "{error}");
    // Of several variants the best is taken.
    assert!(needs(&parity("llama-hf-multi"), QuantizeLevel::Q4M).is_ok());
}

#[test]
fn what_is_needed_is_known_before() {
    for level in QuantizeLevel::ALL {
        let needs = needs(&parity("mistral-hf"), level).unwrap();
        let (out, report) = made("mistral-hf", level);
        let files = Files::open(out.path()).unwrap().list().unwrap();
        let size: u64 = files.iter().map(|file| file.size_bytes).sum();
        // Names of new tensors take a little, tensors that became small a little less.
        assert!(size <= needs.disk + 32_768, "{level:?}: {size} > {needs:?}");
        assert!(report.bytes_after <= size);
    }
}

/// A copy of a package whose weights can be damaged.
fn copied(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let files = Files::open(&parity(name)).unwrap();
    for file in files.list().unwrap() {
        let target = copy.path().join(&file.path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(files.locate(&file.path).unwrap().0, target).unwrap();
    }
    copy
}

#[test]
fn a_weight_that_is_no_number_is_told_with_its_tensor() {
    let copy = copied("llama-gqa");
    let data = copy.path().join(WEIGHTS_FILE);
    let mut bytes = fs::read(&data).unwrap();
    let graph = fs::read(copy.path().join(GRAPH_FILE)).unwrap();
    let model = ModelProto::decode(&graph[..]).unwrap();
    let name = "model.layers.1.mlp.up_proj.MatMul.weight";
    let tensors = model.graph.unwrap().initializer;
    let tensor = tensors.iter().find(|tensor| tensor.name == name).unwrap();
    let offset = tensor
        .external_data
        .iter()
        .find(|entry| entry.key == "offset")
        .unwrap();
    let offset: usize = offset.value.parse().unwrap();
    bytes[offset + 4..offset + 8].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&data, bytes).unwrap();
    for level in [QuantizeLevel::Q4M, QuantizeLevel::F16] {
        let out = tempfile::tempdir().unwrap();
        let error = quantize(copy.path(), level, out.path(), &Patience::endless(), &Threads(2));
        let error = error.unwrap_err();
        assert!(
            matches!(&error, QuantizeError::BadWeight { tensor, .. } if tensor == name),
            "{error}"
        );
        assert_eq!(error.kind(), ErrorKind::ModelInvalid);
    }
}

#[test]
fn weights_for_other_programs_are_left_out() {
    let copy = copied("llama-bare");
    for (file, stays) in [
        ("model.safetensors", false),
        ("x/model.gguf", false),
        ("LICENSE", true),
    ] {
        let path = copy.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        let out = tempfile::tempdir().unwrap();
        quantize(
            copy.path(),
            QuantizeLevel::Q8,
            out.path(),
            &Patience::endless(),
            &Threads(2),
        )
        .unwrap();
        assert_eq!(out.path().join(file).exists(), stays, "{file}");
    }
}

#[test]
fn it_ends_when_it_is_told_to() {
    let out = tempfile::tempdir().unwrap();
    let patience = Patience(AtomicU32::new(3));
    let error = quantize(
        &parity("llama-gqa"),
        QuantizeLevel::Q4M,
        out.path(),
        &patience,
        &Threads(2),
    );
    assert!(matches!(error.unwrap_err(), QuantizeError::Cancelled));
}

#[test]
fn computing_in_bfloat16_is_told_from_keeping_weights_so() {
    let node = |op_type: &str, input: [&str; 2], output: &str| NodeProto {
        op_type: op_type.to_owned(),
        input: input.map(str::to_owned).into(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    };
    let weights = TensorProto {
        name: "w".to_owned(),
        data_type: 16,
        dims: vec![2, 2],
        raw_data: Some(vec![0; 8].into()),
        ..TensorProto::default()
    };
    let computes = |nodes: Vec<NodeProto>| {
        let graph = GraphProto {
            node: nodes,
            initializer: vec![weights.clone()],
            ..GraphProto::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        run::computes_in_bfloat16(&Graph::new(model, GRAPH_FILE).unwrap())
    };
    assert!(computes(vec![node("MatMul", ["x", "w"], "y")]));
    let converted = vec![node("Cast", ["w", ""], "v"), node("MatMul", ["x", "v"], "y")];
    assert!(!computes(converted));
}

#[test]
fn a_full_disk_is_called_one() {
    let error = QuantizeError::File {
        action: "write",
        path: "model.onnx.data".into(),
        source: std::io::ErrorKind::StorageFull.into(),
    };
    assert_eq!(error.kind(), ErrorKind::DiskFull);
}
