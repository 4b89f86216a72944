//! Reading, rewriting and writing whole packages.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use super::proto::{AttributeProto, FunctionProto, ModelProto, NodeProto, TensorProto};
use super::*;
use crate::package::Files;

fn parity() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/testdata/parity")
}

/// Graph files of the packages that come with the sources: their directory and name in it.
fn graphs() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for package in fs::read_dir(parity()).unwrap() {
        let package = package.unwrap().path();
        let Ok(files) = Files::open(&package) else {
            continue;
        };
        let listed = files.list().unwrap().into_iter().map(|file| file.path);
        let graphs = listed.filter(|file| file.ends_with(".onnx"));
        found.extend(graphs.map(|file| (package.clone(), file)));
    }
    assert!(found.len() > 15, "the packages of the tests are missing");
    found
}

fn rewritten(package: &str, file: &str, wanted: &[Pass]) -> Rewritten {
    let files = Files::open(&parity().join(package)).unwrap();
    rewrite(&files, file, wanted, None).unwrap()
}

#[test]
fn a_model_is_written_as_it_was_read() {
    for (package, file) in graphs() {
        let bytes = Bytes::from(fs::read(package.join(&file)).unwrap());
        covered::check(&bytes).unwrap();
        let model = ModelProto::decode(bytes.clone()).unwrap();
        let written = model.encode_to_vec();
        // Not byte for byte: empty texts may be written out or left out.
        let again = ModelProto::decode(Bytes::from(written)).unwrap();
        assert!(again == model, "{} {file}", package.display());
    }
}

#[test]
fn a_quantized_package_of_genai_is_understood_whole() {
    let rewritten = rewritten("llama-gqa-int4", "model.onnx", &Pass::ALL);
    assert_eq!(
        rewritten.applied,
        ["merged", "matmul", "embedding", "last_rows", "attention"]
    );
    let plan = &rewritten.plan;
    // Two layers of qkv, o, gate with up, and down; the head, which is the table as well.
    assert_eq!(plan.packs.len(), 9);
    let interleaved = plan
        .packs
        .iter()
        .filter(|task| task.arrangement == Arrangement::Interleaved);
    assert_eq!(interleaved.count(), 2);
    assert!(plan.selects_rows);
    assert_eq!(plan.attention.len(), 2);
    let layer = plan.attention[1];
    assert_eq!(
        (layer.query_heads, layer.key_value_heads, layer.head_size),
        (4, 2, 16)
    );
}

#[test]
fn query_key_and_value_are_one_matrix_where_norms_lie_behind_them() {
    let rewritten = rewritten("qwen3-gqa-int4", "model.onnx", &Pass::ALL);
    let rows = rewritten.plan.packs.iter().filter(|task| task.sources.len() == 3);
    let rows: Vec<u64> = rows.map(PackTask::rows).collect();
    assert_eq!(rows, [128, 128]);
    assert_eq!(rewritten.plan.attention[1].head_size, 16);
}

#[test]
fn a_package_with_weights_out_of_dequantize_linear_is_understood_whole() {
    let rewritten = rewritten("llama-gqa-qdq4", "model.onnx", &Pass::ALL);
    assert_eq!(rewritten.applied, ["merged", "matmul", "last_rows", "attention"]);
    // Two layers of qkv, o, gate with up, and down; the head. The table stays in full precision.
    let tasks = &rewritten.plan.packs;
    assert_eq!(tasks.len(), 9);
    assert!(tasks.iter().all(|task| (task.block, task.bits) == (16, 4)));
    assert!(rewritten.plan.selects_rows);
    assert_eq!(rewritten.plan.attention.len(), 2);
}

#[test]
fn packages_that_are_quantized_dynamically_are_understood_whole() {
    // The table of embeddings has a zero point even where the layers have none.
    for (package, with_zero_points) in [("llama-hf-int8", 1), ("qwen2-hf-int8", 9)] {
        let rewritten = rewritten(package, "onnx/model_quantized.onnx", &Pass::ALL);
        assert_eq!(
            rewritten.applied,
            ["merged", "matmul", "embedding", "last_rows"],
            "{package}"
        );
        let tasks = &rewritten.plan.packs;
        // Two layers of qkv, o, gate with up, and down; the head, which is the table as well.
        assert_eq!(tasks.len(), 9, "{package}");
        let with = |task: &&PackTask| task.sources.iter().all(|source| source.zero_points.is_some());
        assert_eq!(tasks.iter().filter(with).count(), with_zero_points, "{package}");
    }
}

#[test]
fn packages_in_full_precision_get_paged_attention() {
    for (package, heads, window) in [
        ("llama-gqa", (4, 2, 16), None),
        ("qwen2-gqa", (2, 1, 16), None),
        ("qwen3-gqa", (4, 2, 16), None),
        ("phi3-gqa", (2, 2, 16), None),
        ("gemma-gqa", (4, 2, 16), Some(16)),
        ("gemma-gqa-window", (4, 2, 16), Some(16)),
    ] {
        let rewritten = rewritten(package, "model.onnx", &Pass::ALL);
        assert_eq!(rewritten.applied, ["last_rows", "attention"], "{package}");
        let layer = rewritten.plan.attention[0];
        assert_eq!(
            (layer.query_heads, layer.key_value_heads, layer.head_size),
            heads,
            "{package}"
        );
        assert_eq!(layer.window, window, "{package}");
    }
}

#[test]
fn no_pass_breaks_on_any_package() {
    for (package, file) in graphs() {
        let files = Files::open(&package).unwrap();
        let rewritten = rewrite(&files, &file, &Pass::ALL, None).unwrap();
        assert_eq!(rewritten.applied.len() + rewritten.skipped.len(), Pass::ALL.len());
        let directory = tempfile::tempdir().unwrap();
        rewritten.write(directory.path()).unwrap();
        let written = fs::read(directory.path().join(GRAPH_FILE)).unwrap();
        // Operators of ours are in no package, so the scanner of packages does not take them.
        let read = read::decode(Bytes::from(written), GRAPH_FILE).unwrap();
        check_names(&read, &package);
    }
}

/// Every value that is read is made before, and nothing is made twice.
fn check_names(graph: &edit::Graph, package: &Path) {
    let proto = graph.proto();
    let mut made: Vec<&str> = proto.input.iter().map(|input| input.name.as_str()).collect();
    made.extend(proto.initializer.iter().map(|tensor| tensor.name.as_str()));
    for node in &proto.node {
        for read in index::reads(node) {
            assert!(made.contains(&read), "{}: {read} is not made", package.display());
        }
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            assert!(
                !made.contains(&output.as_str()),
                "{}: {output}",
                package.display()
            );
            made.push(output);
        }
    }
    for output in &proto.output {
        assert!(
            made.contains(&output.name.as_str()),
            "{}: {}",
            package.display(),
            output.name
        );
    }
}

#[test]
fn without_a_pass_nothing_but_the_file_of_weights_changes() {
    let directory = tempfile::tempdir().unwrap();
    rewritten("llama-hf", "onnx/model.onnx", &[])
        .write(directory.path())
        .unwrap();
    let load = |path: &Path, file: &str| {
        let files = Files::open(path).unwrap();
        let graph = read::read(&files, file).unwrap();
        let tensors: Vec<(String, Vec<u8>)> = graph
            .proto()
            .initializer
            .iter()
            .map(|tensor| (tensor.name.clone(), content(&files, tensor, file)))
            .collect();
        (graph.proto().node.clone(), tensors)
    };
    let before = load(&parity().join("llama-hf"), "onnx/model.onnx");
    let after = load(directory.path(), GRAPH_FILE);
    assert!(before == after);
}

fn content(files: &Files, tensor: &TensorProto, file: &str) -> Vec<u8> {
    match TensorRef::of(tensor, file).unwrap().place {
        Place::Inline(bytes) => bytes.to_vec(),
        Place::File { file, offset, length } => {
            let all = fs::read(files.locate(&file).unwrap().0).unwrap();
            all[offset as usize..(offset + length) as usize].to_vec()
        }
    }
}

#[test]
fn weights_lie_aligned_and_tied_ones_stay_tied() {
    let package = tempfile::tempdir().unwrap();
    let big = |name: &str, offset: u64| TensorProto {
        name: name.into(),
        dims: vec![128, 128],
        data_type: 1,
        data_location: Some(proto::EXTERNAL),
        external_data: [("location", "w".to_owned()), ("offset", offset.to_string())]
            .map(|(key, value)| proto::StringStringEntryProto {
                key: key.into(),
                value,
            })
            .to_vec(),
        ..TensorProto::default()
    };
    let mut model = testing::model(
        "input x f32[128]
        output y f32[128,128]
        constant s f32[4]
        constant m f32[300]
        y = Sum(x, a, b, c, s, m)",
    );
    let graph = model.graph.as_mut().unwrap();
    graph
        .initializer
        .extend([big("a", 100), big("b", 0), big("c", 100)]);
    let data: Vec<u8> = (0..128 * 128 * 4 + 100).map(|byte: u32| byte as u8).collect();
    fs::write(package.path().join("w"), &data).unwrap();
    fs::write(package.path().join("model.onnx"), model.encode_to_vec()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let files = Files::open(package.path()).unwrap();
    rewrite(&files, "model.onnx", &[], None)
        .unwrap()
        .write(out.path())
        .unwrap();

    let written = Files::open(out.path()).unwrap();
    let graph = read::read(&written, GRAPH_FILE).unwrap();
    let place = |name: &str| graph.reference(&graph.index(), name).unwrap().place;
    let inside = |name: &str| match place(name) {
        Place::Inline(_) => None,
        Place::File { file, offset, .. } => {
            assert_eq!(file, WEIGHTS_FILE);
            Some(offset)
        }
    };
    assert_eq!(inside("s"), None);
    assert_eq!(inside("m"), Some(0));
    assert_eq!(inside("a"), Some(4096));
    assert_eq!(inside("c"), inside("a"));
    assert_eq!(inside("b"), Some(4096 + 65536));
    let tensor = graph
        .proto()
        .initializer
        .iter()
        .find(|tensor| tensor.name == "c")
        .unwrap();
    assert!(content(&written, tensor, GRAPH_FILE) == data[100..]);
}

#[test]
fn a_pass_that_fails_leaves_graph_and_plan() {
    // The head is understood; one attention has a bias for every pair of tokens.
    let text = "input x f32[1,T,32]
        input past_k f32[1,1,P,16]
        input past_v f32[1,1,P,16]
        input n i32[1]
        output logits f32[1,T,64]
        output k f32[1,1,P,16]
        output v f32[1,1,P,16]
        constant w f32[32,64]
        constant b f32[1,1,8,8]
        a, k, v = ms.GroupQueryAttention(x, , , past_k, past_v, n, n, , , , b) {num_heads=2, kv_num_heads=1}
        logits = MatMul(a, w)";
    let package = tempfile::tempdir().unwrap();
    fs::write(
        package.path().join("m.onnx"),
        testing::model(text).encode_to_vec(),
    )
    .unwrap();
    let files = Files::open(package.path()).unwrap();
    let rewritten = rewrite(&files, "m.onnx", &[Pass::Attention, Pass::LastRows], None).unwrap();
    assert_eq!(rewritten.applied, ["last_rows"]);
    let [("attention", reason)] = &rewritten.skipped[..] else {
        panic!("{:?}", rewritten.skipped)
    };
    assert!(reason.contains("bias for every pair"), "{reason}");
    assert!(rewritten.plan.attention.is_empty());
}

#[test]
fn a_file_that_redefines_operators_is_refused() {
    let mut model = testing::model("input x f32[1]\noutput y f32[1]\ny = Neg(x)");
    model.functions.push(FunctionProto {
        name: "MatMulNBits".into(),
        domain: "com.microsoft".into(),
        ..FunctionProto::default()
    });
    let error = read::decode(model.encode_to_vec().into(), "m.onnx").unwrap_err();
    assert!(matches!(error, GraphError::RedefinedFunction { .. }), "{error}");
    assert!(matches!(
        read::decode(Bytes::new(), "m.onnx"),
        Err(GraphError::NoGraph)
    ));
}

#[test]
fn what_a_nested_graph_reads_is_kept() {
    let mut model = testing::model(
        "input x f32[1,T,32]
        output y f32[1,T,16]
        output z f32[1,T,16]
        constant w u8[16,1,16]
        constant s f32[16,1]
        constant b f32[16]
        m = ms.MatMulNBits(x, w, s) {K=32, N=16, bits=4, block_size=32}
        y = Add(m, b)
        z = If(c)",
    );
    let graph = model.graph.as_mut().unwrap();
    let inner = proto::GraphProto {
        node: vec![NodeProto {
            input: vec!["m".into(), "s".into()],
            output: vec!["inner".into()],
            op_type: "Sum".into(),
            ..NodeProto::default()
        }],
        ..proto::GraphProto::default()
    };
    graph.node[2].attribute = vec![AttributeProto {
        name: "then_branch".into(),
        g: Some(inner),
        kind: 5,
        ..AttributeProto::default()
    }];
    let mut graph = edit::Graph::new(model, "m.onnx").unwrap();
    passes::matmul(&mut graph, &mut Plan::default()).unwrap();
    // The product is read inside, so the addition is not taken into it; the scales stay.
    assert!(testing::text(&graph).starts_with("m = airunner.QuantizedMatMul(x) {"));
    let names: Vec<&str> = graph
        .proto()
        .initializer
        .iter()
        .map(|t| t.name.as_str())
        .collect();
    assert_eq!(names, ["s", "b"]);
}

/// Whatever the bytes are: an error, or a graph, and passes that end.
fn reads_and_changes(bytes: Vec<u8>) {
    let Ok(mut graph) = read::decode(bytes.into(), "m.onnx") else {
        return;
    };
    let mut plan = Plan::default();
    for pass in [
        passes::merged,
        passes::matmul,
        passes::embedding,
        passes::last_rows,
        passes::attention,
        passes::accuracy_level,
    ] {
        drop(pass(&mut graph, &mut plan));
    }
    drop(passes::decomposed(&mut graph, &mut plan, None));
    drop(full_precision::matrices(&graph, &graph.index()));
    drop(graph.into_model().encode_to_vec());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_files_are_borne(
        which in 0_usize..3,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
    ) {
        let file = ["llama-gqa-int4/model.onnx", "llama-hf/onnx/model.onnx", "gemma-gqa/model.onnx"][which];
        let mut bytes = fs::read(parity().join(file)).unwrap();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        reads_and_changes(bytes);
    }

    #[test]
    fn names_in_disorder_are_borne(
        nodes in prop::collection::vec((0_usize..9, 0_usize..6, 0_usize..6, 0_usize..6), 1..24),
    ) {
        // Values that are made twice, read themselves or are read before they are made.
        let operators = [
            "Mul", "Identity", "Cast", "Sigmoid", "Add", "Tanh", "ms.MatMulNBits", "Softmax", "MatMul",
        ];
        let names = ["x", "logits", "a", "b", "w", "s"];
        let lines: Vec<String> = nodes
            .into_iter()
            .map(|(operator, output, left, right)| {
                let operator = operators[operator];
                let attributes = if operator.starts_with("ms") { "{K=32, N=16, bits=4, block_size=32}" } else { "" };
                format!("{} = {operator}({}, {}, s) {attributes}", names[output], names[left], names[right])
            })
            .collect();
        let text = format!(
            "input x f32[1,T,32]\noutput logits f32[1,T,16]\nconstant w u8[16,1,16]\nconstant s f32[16,1]\n{}",
            lines.join("\n")
        );
        reads_and_changes(testing::model(&text).encode_to_vec());
    }
}
