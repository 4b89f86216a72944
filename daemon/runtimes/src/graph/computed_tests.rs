//! Whether a rewritten graph computes what the original does. Operators of ours are put into
//! terms of ONNX Runtime's own again, with the weights that the plan names, and both graphs run.

mod kernels;
mod weights;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::{Tensor, ValueType};
use prost::Message as _;

use super::edit::Build;
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use super::*;
use crate::onnx::dtype;
use crate::operators::packing;
use crate::package::Files;

const PROMPT: [i64; 6] = [3, 17, 5, 90, 41, 7];

fn environment() -> &'static Environment {
    static READY: OnceLock<Environment> = OnceLock::new();
    // The one of the whole process: there cannot be two.
    READY.get_or_init(|| crate::llm::session::environment(&library()).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "tests have no config module")]
fn library() -> PathBuf {
    if let Some(named) = std::env::var_os("ORT_DYLIB_PATH") {
        return named.into();
    }
    let executable = std::env::current_exe().unwrap();
    let staged = executable.ancestors().nth(3).unwrap().join("lib/airunner");
    let names = ["libonnxruntime.so.1", "libonnxruntime.dylib", "onnxruntime.dll"];
    names
        .iter()
        .map(|name| staged.join(name))
        .find(|path| path.is_file())
        .expect("no ONNX Runtime library: run `cargo xtask setup`, or set ORT_DYLIB_PATH")
}

/// Logits of a prompt without a past.
fn logits(graph: &Path, rows: &[i64], level: GraphOptimizationLevel) -> Vec<f32> {
    let mut session = Session::builder(environment())
        .unwrap()
        .with_optimization_level(level)
        .unwrap()
        .with_intra_threads(1)
        .unwrap()
        .commit_from_file(graph)
        .unwrap();
    let tokens = PROMPT.len() as i64;
    let inputs: Vec<(String, SessionInputValue<'_>)> = session
        .inputs()
        .iter()
        .map(|input| {
            let integers = |shape: &[i64], values: Vec<i64>| {
                SessionInputValue::from(Tensor::from_array((shape.to_vec(), values)).unwrap())
            };
            let value = match input.name() {
                "input_ids" => integers(&[1, tokens], PROMPT.to_vec()),
                "attention_mask" => integers(&[1, tokens], vec![1; PROMPT.len()]),
                "position_ids" => integers(&[1, tokens], (0..tokens).collect()),
                "num_logits_to_keep" => integers(&[], vec![tokens]),
                ROWS_INPUT => integers(&[rows.len() as i64], rows.to_vec()),
                _ => empty_past(input.dtype()),
            };
            (input.name().to_owned(), value)
        })
        .collect();
    let outputs = session.run(inputs).unwrap();
    let value = &outputs["logits"];
    match value.try_extract_tensor::<f32>() {
        Ok((_, logits)) => logits.to_vec(),
        Err(_) => {
            let (_, logits) = value.try_extract_tensor::<half::f16>().unwrap();
            logits.iter().map(|logit| logit.to_f32()).collect()
        }
    }
}

fn empty_past(kind: &ValueType) -> SessionInputValue<'static> {
    let ValueType::Tensor { ty, shape, .. } = kind else {
        panic!("{kind:?}")
    };
    let size = shape.last().copied().filter(|&size| size > 0).unwrap_or(16);
    let shape = vec![1, shape[1], 0, size];
    if *ty == ort::value::TensorElementType::Float16 {
        return Tensor::from_array((shape, Vec::<half::f16>::new()))
            .unwrap()
            .into();
    }
    Tensor::from_array((shape, Vec::<f32>::new())).unwrap().into()
}

/// The greatest difference of the logits of some rows, against the greatest logit.
fn difference(package: &Path, file: &str, wanted: &[Pass], applied: &[&str]) -> f32 {
    difference_at(4, package, file, wanted, applied)
}

/// The same with products of this accuracy; with 0 ONNX Runtime computes both as they are written.
fn difference_at(accuracy: i64, package: &Path, file: &str, wanted: &[Pass], applied: &[&str]) -> f32 {
    difference_from(&package.join(file), accuracy, package, file, wanted, applied)
}

/// The same against what another graph computes.
fn difference_from(
    original: &Path,
    accuracy: i64,
    package: &Path,
    file: &str,
    wanted: &[Pass],
    applied: &[&str],
) -> f32 {
    let rows = [1, 5, 4];
    let level = if accuracy == 0 {
        GraphOptimizationLevel::Disable
    } else {
        GraphOptimizationLevel::All
    };
    let before = logits(original, &rows, level);
    let files = Files::open(package).unwrap();
    let rewritten = rewrite(&files, file, wanted, Some(&mut OnnxRuntime(environment()))).unwrap();
    assert_eq!(rewritten.applied, applied, "{:?}", rewritten.skipped);
    let plan = rewritten.plan.clone();
    let directory = tempfile::tempdir().unwrap();
    rewritten.write(directory.path()).unwrap();
    let graph = directory.path().join(GRAPH_FILE);
    let model = ModelProto::decode(Bytes::from(fs::read(&graph).unwrap())).unwrap();
    fs::write(
        &graph,
        Lowering::new(&files, &plan, accuracy)
            .model(model)
            .encode_to_vec(),
    )
    .unwrap();
    let after = logits(&graph, &rows, level);
    let width = before.len() / PROMPT.len();
    let expected: Vec<f32> = if plan.selects_rows {
        let row = |&row: &i64| &before[row as usize * width..][..width];
        rows.iter().flat_map(row).copied().collect()
    } else {
        before
    };
    assert_eq!(expected.len(), after.len());
    let greatest = expected.iter().fold(0_f32, |most, logit| most.max(logit.abs()));
    let differences = expected
        .iter()
        .zip(&after)
        .map(|(one, other)| (one - other).abs());
    differences.fold(0_f32, f32::max) / greatest
}

/// Puts our operators into ONNX Runtime's.
struct Lowering<'a> {
    files: &'a Files,
    tasks: HashMap<&'a str, &'a PackTask>,
    attention: &'a [AttentionLayer],
    /// Of products: 4 rounds activations to 8 bits, 0 does not.
    accuracy: i64,
    added: Vec<TensorProto>,
}

impl<'a> Lowering<'a> {
    fn new(files: &'a Files, plan: &'a Plan, accuracy: i64) -> Self {
        Self {
            files,
            tasks: plan.packs.iter().map(|task| (task.key.as_str(), task)).collect(),
            attention: &plan.attention,
            accuracy,
            added: Vec::new(),
        }
    }

    fn model(mut self, mut model: ModelProto) -> ModelProto {
        let graph: &mut GraphProto = model.graph.as_mut().unwrap();
        let nodes = std::mem::take(&mut graph.node);
        graph.node = nodes.into_iter().flat_map(|node| self.node(node)).collect();
        graph.initializer.extend(self.added);
        model.opset_import.retain(|opset| opset.domain != DOMAIN);
        model
    }

    fn node(&mut self, node: NodeProto) -> Vec<NodeProto> {
        if node.domain != DOMAIN {
            return vec![node];
        }
        let output = node.output[0].clone();
        let input = node.input[0].clone();
        let task = node.text("weights").map(|key| self.tasks[key]);
        match (node.op_type.as_str(), task) {
            ("QuantizedMatMul", Some(task)) => {
                assert_eq!(node.integer("rows"), Some(task.rows() as i64));
                vec![self.product(task, &task.sources, &input, node.given(1), &output)]
            }
            ("QuantizedGatedMatMul", Some(task)) => {
                let [gate, up] = [0, 1].map(|place| (format!("{output}/{place}"), &task.sources[place]));
                let act = format!("{output}/act");
                vec![
                    self.product(task, std::slice::from_ref(gate.1), &input, None, &gate.0),
                    self.product(task, std::slice::from_ref(up.1), &input, None, &up.0),
                    activation(node.text("activation").unwrap(), &gate.0, &act),
                    Build::standard("Mul").input(&act).input(&up.0).output(&output),
                ]
            }
            ("QuantizedRows", Some(task)) => vec![self.rows(task, &input, &output)],
            ("PagedAttention", None) => vec![self.attention(&node)],
            (other, _) => panic!("{other}"),
        }
    }

    fn product(
        &mut self,
        task: &PackTask,
        sources: &[Source],
        input: &str,
        bias: Option<&str>,
        output: &str,
    ) -> NodeProto {
        let rows: u64 = sources.iter().map(|source| source.rows).sum();
        let blocks = task.columns.div_ceil(task.block);
        let weights = [rows, blocks, task.block * task.bits / 8];
        let (weights, scales, zero_points) = self.matrix(task, sources, &weights, &[rows, blocks]);
        let mut node = Build::standard("MatMulNBits")
            .inputs(&[
                Some(input),
                Some(&weights),
                Some(&scales),
                zero_points.as_deref(),
                None,
                bias,
            ])
            .integer("N", rows as i64)
            .integer("K", task.columns as i64)
            .integer("bits", task.bits as i64)
            .integer("block_size", task.block as i64)
            .integer("accuracy_level", self.accuracy)
            .output(output);
        node.domain = "com.microsoft".to_owned();
        node
    }

    fn rows(&mut self, task: &PackTask, ids: &str, output: &str) -> NodeProto {
        let table = [task.rows(), task.columns * task.bits / 8];
        let scales = [task.rows(), task.columns / task.block];
        let (weights, scales, zero_points) = self.matrix(task, &task.sources, &table, &scales);
        let mut node = Build::standard("GatherBlockQuantized")
            .inputs(&[Some(&weights), Some(ids), Some(&scales), zero_points.as_deref()])
            .integer("bits", task.bits as i64)
            .integer("block_size", task.block as i64)
            .integer("gather_axis", 0)
            .integer("quantize_axis", 1)
            .output(output);
        node.domain = "com.microsoft".to_owned();
        node
    }

    /// The sources one after the other, as they are packed; scales as 32-bit floats.
    fn matrix(
        &mut self,
        task: &PackTask,
        sources: &[Source],
        weights: &[u64],
        scales: &[u64],
    ) -> (String, String, Option<String>) {
        let (mut weights_data, mut scales_data, mut points) = (Vec::new(), Vec::new(), Vec::new());
        for source in sources {
            let read = packing::in_blocks(source, task, self.files).unwrap();
            weights_data.extend(read.0);
            scales_data.extend(read.1.iter().flat_map(|scale| scale.to_le_bytes()));
            points.extend(read.2.unwrap_or_default());
        }
        let rows = weights[0];
        (
            self.add(dtype::UINT8, weights, weights_data),
            self.add(dtype::FLOAT, scales, scales_data),
            (!points.is_empty()).then(|| self.add(dtype::UINT8, &[rows, points.len() as u64 / rows], points)),
        )
    }

    fn add(&mut self, dtype: i64, dims: &[u64], data: Vec<u8>) -> String {
        let name = format!("lowered.{}", self.added.len());
        self.added.push(TensorProto {
            name: name.clone(),
            dims: dims.iter().map(|&size| size as i64).collect(),
            data_type: dtype as i32,
            raw_data: Some(data.into()),
            ..TensorProto::default()
        });
        name
    }

    /// The same without a past.
    fn attention(&mut self, node: &NodeProto) -> NodeProto {
        let layer = self.attention[node.integer("layer").unwrap() as usize];
        let whole = |name| node.integer(name).unwrap();
        assert_eq!(layer.query_heads as i64, whole("query_heads"));
        let past = [1, layer.key_value_heads, 0, layer.head_size];
        let (key, value) = (self.add(1, &past, Vec::new()), self.add(1, &past, Vec::new()));
        let tokens = PROMPT.len() as i32;
        let last = self.add(dtype::INT32, &[1], (tokens - 1).to_le_bytes().to_vec());
        let total = self.add(dtype::INT32, &[], tokens.to_le_bytes().to_vec());
        let own = [key, value, last, total];
        let mut inputs: Vec<Option<&str>> = (0..3).map(|place| node.given(place)).collect();
        inputs.extend(own.iter().map(|name| Some(name.as_str())));
        inputs.extend([node.given(3), node.given(4), None, None, node.given(5)]);
        let output = &node.output[0];
        let mut lowered = Build::standard("GroupQueryAttention")
            .inputs(&inputs)
            .integer("num_heads", whole("query_heads"))
            .integer("kv_num_heads", whole("key_value_heads"))
            .integer("do_rotary", whole("rotary"))
            .integer("rotary_interleaved", whole("interleaved"))
            .integer("smooth_softmax", whole("smooth_softmax"))
            .integer("local_window_size", whole("window"))
            .float("scale", node.float("scale").unwrap())
            .float("softcap", node.float("softcap").unwrap())
            .output(output);
        lowered.domain = "com.microsoft".to_owned();
        lowered
            .output
            .extend([format!("{output}/key"), format!("{output}/value")]);
        lowered
    }
}

fn activation(name: &str, gate: &str, output: &str) -> NodeProto {
    let build = match name {
        "silu" => Build::standard("QuickGelu").float("alpha", 1.0),
        "gelu_erf" => Build::standard("Gelu"),
        "gelu_tanh" => Build::standard("FastGelu"),
        other => panic!("{other}"),
    };
    let mut node = build.input(gate).output(output);
    node.domain = "com.microsoft".to_owned();
    node
}

fn testdata(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/testdata")
        .join(folder)
}

fn parity(package: &str) -> PathBuf {
    testdata("parity").join(package)
}

#[test]
fn a_quantized_package_computes_the_same() {
    for (wanted, applied) in [
        (&[Pass::MatMul][..], &["matmul"][..]),
        (&[Pass::Merged], &["merged"]),
        (&[Pass::Embedding], &["embedding"]),
        (
            &Pass::ALL,
            &["merged", "matmul", "embedding", "last_rows", "attention"],
        ),
    ] {
        let off = difference(&parity("llama-gqa-int4"), "model.onnx", wanted, applied);
        assert!(off < 1e-5, "{applied:?}: {off}");
    }
}

/// Norms lie between query and key and their attention.
#[test]
fn query_key_and_value_behind_one_product_compute_the_same() {
    for (wanted, applied) in [
        (&[Pass::Merged][..], &["merged"][..]),
        (
            &Pass::ALL,
            &["merged", "matmul", "embedding", "last_rows", "attention"],
        ),
    ] {
        let off = difference(&parity("qwen3-gqa-int4"), "model.onnx", wanted, applied);
        assert!(off < 1e-5, "{applied:?}: {off}");
    }
}

#[test]
fn packages_in_full_precision_compute_the_same() {
    for package in [
        "llama-gqa",
        "mistral-gqa",
        "qwen2-gqa",
        "qwen3-gqa",
        "phi3-gqa",
        "gemma-gqa",
    ] {
        let off = difference(
            &parity(package),
            "model.onnx",
            &Pass::ALL,
            &["last_rows", "attention"],
        );
        assert!(off < 1e-5, "{package}: {off}");
    }
}

#[test]
fn logits_of_chosen_rows_are_those_of_all() {
    // Half floats round where the number of rows lets ONNX Runtime choose another kernel.
    for (package, file, bound) in [
        ("llama-hf", "onnx/model.onnx", 1e-6),
        ("llama-hf-keep", "onnx/model.onnx", 1e-6),
        ("llama-bare", "model.onnx", 1e-6),
        ("llama-hf-fp16", "onnx/model_fp16.onnx", 2e-3),
        ("gemma-hf", "onnx/model.onnx", 1e-6),
    ] {
        let off = difference(&parity(package), file, &[Pass::LastRows], &["last_rows"]);
        assert!(off < bound, "{package}: {off}");
    }
}

#[test]
fn quantized_weights_beside_written_out_attention_compute_the_same() {
    let off = difference(
        &parity("llama-hf-multi"),
        "onnx/model_q4.onnx",
        &[Pass::Merged, Pass::MatMul, Pass::AccuracyLevel],
        &["merged", "matmul"],
    );
    // The original computes with 32-bit floats, the other with 8-bit activations.
    assert!(off < 2e-2, "{off}");
}

#[test]
fn attention_that_is_written_out_computes_the_same() {
    for (package, file, window, bound) in [
        ("llama-hf", "onnx/model.onnx", None, 1e-5),
        ("llama-hf-keep", "onnx/model.onnx", None, 1e-5),
        ("llama-hf-fp16", "onnx/model_fp16.onnx", None, 2e-3),
        ("mistral-hf", "onnx/model.onnx", None, 1e-5),
        ("qwen2-hf", "onnx/model.onnx", None, 1e-5),
        ("qwen3-hf", "onnx/model.onnx", None, 1e-5),
        ("phi3-hf", "onnx/model.onnx", None, 1e-5),
        ("gemma-hf", "onnx/model.onnx", Some(16), 1e-5),
    ] {
        let off = difference(&parity(package), file, &Pass::ALL, &["last_rows", "decomposed"]);
        assert!(off < bound, "{package}: {off}");
        let files = Files::open(&parity(package)).unwrap();
        let evaluate = &mut OnnxRuntime(environment());
        let plan = rewrite(&files, file, &[Pass::Decomposed], Some(evaluate))
            .unwrap()
            .plan;
        assert_eq!(plan.attention[0].window, window, "{package}");
    }
}

/// Gate and up, down with a bias, and a head.
fn network(kind: &str, bits: u32, block: u32, has_zero_points: bool) -> ModelProto {
    let blocks = 64 / block;
    let matrix = |name: &str| {
        format!(
            "constant {name}w u8[64,{blocks},{}]
            constant {name}s {kind}[64,{blocks}]
            constant {name}z u8[64,{}]\n",
            block * bits / 8,
            (blocks * bits).div_ceil(8)
        )
    };
    let product = |output: &str, input: &str, name: &str, bias: &str| {
        let zero_points = if has_zero_points {
            format!("{name}z")
        } else {
            String::new()
        };
        format!(
            "{output} = ms.MatMulNBits({input}, {name}w, {name}s, {zero_points}, , {bias}) \
             {{K=64, N=64, bits={bits}, block_size={block}, accuracy_level=4}}\n"
        )
    };
    let text = [
        format!(
            "input input_ids i64[1,S]\noutput logits {kind}[1,S,64]
            constant table {kind}[128,64]\nconstant b {kind}[64]\nconstant c {kind}[64]\n"
        ),
        ["g", "u", "d", "h"].map(matrix).concat(),
        "x = Gather(table, input_ids)\n".to_owned(),
        product("gate", "x", "g", ""),
        product("up", "x", "u", ""),
        "s = Sigmoid(gate)\na = Mul(gate, s)\nm = Mul(a, up)\n".to_owned(),
        product("down", "m", "d", "b"),
        product("head", "down", "h", ""),
        "logits = Add(head, c)\n".to_owned(),
    ];
    testing::model(&text.concat())
}

#[test]
fn every_kind_of_quantized_matrix_computes_the_same() {
    let wanted = [Pass::Merged, Pass::MatMul];
    for kind in ["f32", "f16"] {
        for (bits, block) in [(4, 16), (4, 32), (4, 64), (8, 32)] {
            for has_zero_points in [false, true] {
                let package = tempfile::tempdir().unwrap();
                let model = network(kind, bits, block, has_zero_points).encode_to_vec();
                fs::write(package.path().join("model.onnx"), model).unwrap();
                let off = difference(package.path(), "model.onnx", &wanted, &["merged", "matmul"]);
                // With half floats ONNX Runtime does not round activations to 8 bits everywhere.
                let bound = if kind == "f32" { 1e-5 } else { 2e-2 };
                assert!(off < bound, "{kind} {bits} {block} {has_zero_points}: {off}");
            }
        }
    }
}

#[test]
fn attention_as_exporters_write_it_computes_the_same() {
    for (package, windows) in [
        ("llama-eager", [None, None]),
        ("llama-sdpa", [None, None]),
        ("llama-sdpa-unscaled", [None, None]),
        ("qwen3-sdpa-window", [None, Some(6)]),
    ] {
        let directory = testdata("traced").join(package);
        let off = difference(&directory, "model.onnx", &Pass::ALL, &["last_rows", "decomposed"]);
        assert!(off < 1e-5, "{package}: {off}");
        let files = Files::open(&directory).unwrap();
        let evaluate = &mut OnnxRuntime(environment());
        let plan = rewrite(&files, "model.onnx", &[Pass::Decomposed], Some(evaluate))
            .unwrap()
            .plan;
        let found: Vec<Option<u64>> = plan.attention.iter().map(|layer| layer.window).collect();
        assert_eq!(found, windows, "{package}");
    }
}

#[test]
fn attention_with_many_heads_computes_the_same() {
    let applied = ["last_rows", "multi_head"];
    let off = difference(&parity("phi3-hf-mha"), "onnx/model.onnx", &Pass::ALL, &applied);
    assert!(off < 1e-5, "{off}");
}

#[test]
fn a_past_that_is_kept_otherwise_stays() {
    // Converted at every step, positions from the mask, no past at all.
    for package in ["llama-hf-bf16cache", "llama-hf-nopos", "llama-hf-nocache"] {
        let files = Files::open(&parity(package)).unwrap();
        let evaluate = &mut OnnxRuntime(environment());
        let rewritten = rewrite(&files, "onnx/model.onnx", &[Pass::Decomposed], Some(evaluate)).unwrap();
        assert!(
            rewritten.applied.is_empty() && rewritten.plan.attention.is_empty(),
            "{package}"
        );
    }
}
