//! Packages that try to get through, or that a pass does not suit.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use airunner_core::generate::{GenerateRequest, Input};
use airunner_core::{ErrorKind, ModelName};
use airunner_kernels::Isa;
use airunner_kernels::attention::AttentionError;
use bytes::Bytes;
use prost::Message as _;
use tracing::field::{Field, Visit};
use tracing::span;

use super::*;
use crate::Kernels;
use crate::graph::GraphError;
use crate::graph::edit::Build;
use crate::graph::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::llm::ComputeError;
use crate::llm::interface::StepInputs;
use crate::llm::rewritten::RewriteError;
use crate::onnx::dtype;
use crate::operators::packing::PackError;
use crate::operators::paged::Placed;
use crate::operators::weights::WeightsError;

#[expect(clippy::disallowed_methods, reason = "tests have no config module")]
fn library() -> PathBuf {
    if let Some(named) = std::env::var_os("ORT_DYLIB_PATH") {
        return named.into();
    }
    let executable = std::env::current_exe().unwrap();
    let staged = executable.ancestors().nth(3).unwrap().join("lib/airunner");
    let names = ["libonnxruntime.so.1", "libonnxruntime.dylib", "onnxruntime.dll"];
    let mut paths = names.iter().map(|name| staged.join(name));
    let found = paths.find(|path| path.is_file());
    found.expect("no ONNX Runtime library: run `cargo xtask setup`, or set ORT_DYLIB_PATH")
}

/// A package of the tests with another graph.
fn changed(name: &str, change: impl FnOnce(&mut GraphProto)) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let package = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/testdata/parity")
        .join(name);
    for entry in fs::read_dir(package).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, home.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = home.path().join(GRAPH);
    let mut model = ModelProto::decode(Bytes::from(fs::read(&path).unwrap())).unwrap();
    change(model.graph.as_mut().unwrap());
    fs::write(&path, model.encode_to_vec()).unwrap();
    home
}

/// Gives the table of embeddings' result another name, and puts nodes between it and its readers.
fn after_embedding(graph: &mut GraphProto, added: impl FnOnce(&str, &str) -> Vec<NodeProto>) {
    let reads_tokens = |node: &NodeProto| node.input.iter().any(|input| input == "input_ids");
    let place = graph.node.iter().position(reads_tokens).unwrap();
    let after = std::mem::replace(&mut graph.node[place].output[0], "before".to_owned());
    let rest = graph.node.split_off(place + 1);
    graph.node.extend(added("before", &after));
    graph.node.extend(rest);
}

fn floats(name: &str, dims: &[i64], numbers: Vec<f32>) -> TensorProto {
    let raw: Vec<u8> = numbers
        .into_iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: dtype::FLOAT as i32,
        raw_data: Some(raw.into()),
        ..TensorProto::default()
    }
}

fn integers(name: &str, numbers: &[i64]) -> TensorProto {
    let raw: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    TensorProto {
        name: name.to_owned(),
        dims: vec![numbers.len() as i64],
        data_type: dtype::INT64 as i32,
        raw_data: Some(raw.into()),
        ..TensorProto::default()
    }
}

fn options(directory: &Path) -> LoadOptions {
    LoadOptions {
        directory: directory.to_owned(),
        onnxruntime_library: library(),
        threads: Some(1),
        allow_spinning: false,
        context_length: None,
        parallel_requests: 2,
        queue_length: 2,
        prompt_chunk: 256,
        variant: None,
        prepacked_directory: None,
        kernels: Kernels::Only(Isa::best()),
        cache_type: CacheType::Auto,
        cache_on_disk: None,
    }
}

/// What a copy in the making is.
struct Made {
    is_rewritten: bool,
    description: serde_json::Value,
    warnings: Vec<String>,
    original: Sample,
    copy: Option<Sample>,
}

fn make(package: &Path) -> Made {
    let options = options(package);
    crate::llm::session::ready(&options.onnxruntime_library).unwrap();
    let package = Package::open(package).unwrap();
    let building = tempfile::tempdir().unwrap();
    let warnings = Warnings::default();
    let heard = Arc::clone(&warnings.0);
    let is_rewritten =
        tracing::subscriber::with_default(warnings, || rewrite(&package, &options, building.path()).unwrap());
    let description = fs::read(building.path().join("rewritten.json")).unwrap_or_default();
    let sample = |mut model: Model| Sample::of(&mut model, &package).unwrap();
    let copy = || Model::open_copy(&package, &options, &building.path().join(GRAPH)).unwrap();
    Made {
        is_rewritten,
        description: serde_json::from_slice(&description).unwrap_or_default(),
        warnings: heard.lock().unwrap().clone(),
        original: sample(Model::open(&package, &options).unwrap()),
        copy: is_rewritten.then(|| sample(copy())),
    }
}

impl Made {
    fn applied(&self) -> Vec<&str> {
        let applied = self.description["applied"].as_array().unwrap();
        applied.iter().map(|name| name.as_str().unwrap()).collect()
    }

    fn is_paged(&self) -> bool {
        !self.description["attention"].as_array().unwrap().is_empty()
    }

    fn warns_of(&self, what: &[&str]) -> bool {
        let is_about = |warning: &&String| what.iter().all(|part| warning.contains(part));
        self.warnings.iter().any(|warning| is_about(&warning))
    }
}

/// Hears the warnings of a thread.
#[derive(Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{field}={value:?} ");
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Ways in which a token hears of all others of its run, without an operator whose name says so.
type Mixer = (&'static str, fn(&mut GraphProto));

const MIXERS: [Mixer; 3] = [
    ("a mean over tokens", |graph| {
        graph.initializer.push(integers("over tokens", &[1]));
        after_embedding(graph, |before, after| {
            let mean = Build::standard("ReduceMean")
                .input(before)
                .input("over tokens")
                .output("mean");
            vec![
                mean,
                Build::standard("Add").input(before).input("mean").output(after),
            ]
        });
    }),
    ("the token before", |graph| {
        for (name, number) in [("0", 0), ("-1", -1), ("1", 1)] {
            graph.initializer.push(integers(name, &[number]));
        }
        graph.initializer.push(integers("end", &[i64::MAX]));
        after_embedding(graph, |before, after| {
            let slice = |from, to, name| {
                let node = Build::standard("Slice").input(before).input(from).input(to);
                node.input("1").output(name)
            };
            let shifted = Build::standard("Concat").input("first").input("others");
            vec![
                slice("0", "1", "first"),
                slice("0", "-1", "others"),
                shifted.integer("axis", 1).output("shifted"),
                Build::standard("Add")
                    .input(before)
                    .input("shifted")
                    .output(after),
            ]
        });
    }),
    ("products of tokens with each other", |graph| {
        graph.initializer.push(floats("little", &[1], vec![1.0 / 64.0]));
        after_embedding(graph, |before, after| {
            let turned = Build::standard("Transpose").input(before);
            vec![
                turned.integers("perm", &[0, 2, 1]).output("turned"),
                Build::standard("MatMul")
                    .input(before)
                    .input("turned")
                    .output("scores"),
                Build::standard("MatMul")
                    .input("scores")
                    .input(before)
                    .output("mixed"),
                Build::standard("Mul")
                    .input("mixed")
                    .input("little")
                    .output("less"),
                Build::standard("Add").input(before).input("less").output(after),
            ]
        });
    }),
];

#[test]
fn sequences_never_hear_of_each_other_whatever_a_graph_is_made_of() {
    for (what, mix) in MIXERS {
        let products = make(changed("llama-gqa-int4", mix).path());
        assert!(products.is_rewritten, "{what}: products are as good as ever");
        assert!(!products.is_paged(), "{what}");
        assert!(products.applied().contains(&"matmul"), "{what}");
        assert!(
            products.warns_of(&["attention", "depends on what else is computed"]),
            "{what}: {:?}",
            products.warnings
        );
        // Nothing is left to do where weights are not quantized.
        let plain = make(changed("llama-gqa", mix).path());
        assert!(!plain.is_rewritten, "{what}");
    }
    assert!(make(changed("llama-gqa-int4", |_| {}).path()).is_paged());
}

/// `M(x + c) - M(c)` in place of `M(x)`: the same, but for who rounds activations to steps that are
/// a part of the greatest.
fn lift(graph: &mut GraphProto) {
    let is_product = |node: &&mut NodeProto| node.op_type == "MatMulNBits";
    // The one before the head, which must stay the last.
    let product = graph.node.iter_mut().rev().filter(is_product).nth(1).unwrap();
    for attribute in &mut product.attribute {
        if attribute.name == "accuracy_level" {
            attribute.i = Some(0);
        }
    }
    let columns = product
        .attribute
        .iter()
        .find(|attribute| attribute.name == "K")
        .and_then(|attribute| attribute.i)
        .unwrap();
    let result = std::mem::replace(&mut product.output[0], "lifted".to_owned());
    let input = std::mem::replace(&mut product.input[0], "high".to_owned());
    let mut other = product.clone();
    other.name += "/height";
    other.input[0] = "height".to_owned();
    other.output[0] = "above".to_owned();
    let place = graph
        .node
        .iter()
        .position(|node| node.output[0] == "lifted")
        .unwrap();
    let back = Build::standard("Sub").input("lifted").input("above");
    graph
        .node
        .splice(place + 1..place + 1, [other, back.output(&result)]);
    let lift = Build::standard("Add").input(&input).input("height");
    graph.node.insert(place, lift.output("high"));
    let height = vec![3000.0; columns as usize];
    graph.initializer.push(floats("height", &[1, 1, columns], height));
}

#[test]
fn a_pass_that_does_not_suit_a_package_is_named_and_the_others_stay() {
    let made = make(changed("llama-gqa-int4", lift).path());
    assert!(
        made.is_rewritten && made.is_paged(),
        "{:?} {}",
        made.warnings,
        made.description
    );
    let applied = made.applied();
    assert!(
        applied.contains(&"attention") && applied.contains(&"merged"),
        "{applied:?}"
    );
    for pass in ["matmul", "accuracy_level"] {
        assert!(!applied.contains(&pass), "{applied:?}");
        let said = format!("passes=\"{pass}\"");
        assert!(
            made.warns_of(&[&said, "away from the original"]),
            "{:?}",
            made.warnings
        );
    }
    let refused = made.description["refused"].as_array().unwrap();
    assert!(refused.iter().any(|note| note[0] == "matmul"), "{refused:?}");
    let apart = made.copy.unwrap().apart(&made.original);
    assert!(apart < 0.15, "{apart}");
}

/// Makes a scale of one of the products, counted from the end, something that is no number.
fn without_a_scale(from_end: usize) -> tempfile::TempDir {
    changed("llama-gqa-int4", |graph| {
        let products = graph
            .node
            .iter()
            .rev()
            .filter(|node| node.op_type == "MatMulNBits");
        let name = products.map(|node| node.input[2].clone()).nth(from_end).unwrap();
        let mut tensors = graph.initializer.iter_mut();
        let scales = tensors.find(|tensor| tensor.name == name).unwrap();
        let mut numbers = vec![0.01; scales.dims.iter().product::<i64>() as usize];
        numbers[3] = f32::NAN;
        *scales = floats(&name, &scales.dims, numbers);
    })
}

#[test]
fn scales_that_are_no_numbers_leave_out_their_pass_alone() {
    // Of the first query: what ONNX Runtime makes of it are numbers all the same.
    let package = without_a_scale(10);
    let made = make(package.path());
    assert!(made.is_rewritten && made.is_paged(), "{:?}", made.warnings);
    assert!(made.applied().contains(&"merged") && !made.applied().contains(&"matmul"));
    assert!(
        made.warns_of(&["passes=\"matmul\"", "scale"]),
        "{:?}",
        made.warnings
    );
}

#[test]
fn a_model_that_says_no_numbers_runs_as_it_is_and_says_so() {
    let package = without_a_scale(1);
    let made = make(package.path());
    assert!(!made.is_rewritten, "{:?} {}", made.warnings, made.description);
    // Through the doors that everybody takes.
    let cache = tempfile::tempdir().unwrap();
    let options = LoadOptions {
        prepacked_directory: Some(cache.path().to_owned()),
        ..options(package.path())
    };
    crate::llm::prepack::prepack(&options, "m", cache.path()).unwrap();
    let model = crate::load(&options, &mut |_| {}).unwrap();
    assert!(model.loaded().prepacked, "with ONNX Runtime's own packing");
    let input = Input::Raw("the".to_owned());
    let request = GenerateRequest::new(ModelName::new("m").unwrap(), input);
    let mut answer = model.generate(request, Instant::now()).unwrap();
    let fault = std::iter::from_fn(|| answer.blocking_recv()).find_map(Result::err);
    assert_eq!(fault.unwrap().kind, ErrorKind::ModelFaulty);
}

#[test]
fn a_run_of_other_rows_than_its_step_fails() {
    let home = changed("llama-gqa-int4", |_| {});
    let options = options(home.path());
    crate::llm::session::ready(&options.onnxruntime_library).unwrap();
    let package = Package::open(home.path()).unwrap();
    let building = tempfile::tempdir().unwrap();
    assert!(rewrite(&package, &options, building.path()).unwrap());
    let mut model = Model::open_copy(&package, &options, &building.path().join(GRAPH)).unwrap();
    let mut cache = crate::llm::open_cache(&model, &package, 1, 64);
    cache.extend(&mut model, 0, &[1, 2, 3]).unwrap();
    for (rows, is_taken) in [(3, true), (2, false), (4, false)] {
        model.paged.as_ref().unwrap().set_step(vec![Placed {
            first_row: 0,
            rows,
            past: 3,
            blocks: vec![0],
        }]);
        let inputs = model.interface.inputs(StepInputs {
            rows: 1,
            columns: 3,
            tokens: vec![4, 5, 6],
            mask: vec![1; 3],
            width: 3,
            positions: vec![3, 4, 5],
            wanted: vec![2],
            has_past: true,
        });
        let run = model.session.run(inputs.unwrap());
        let said = run.map(drop).map_err(|error| error.to_string());
        assert_eq!(said.is_ok(), is_taken, "{rows} rows: {said:?}");
        let expected = format!("3 tokens in a step of {rows}");
        assert!(is_taken || said.unwrap_err().contains(&expected));
    }
}

#[test]
fn what_the_machine_lacks_is_no_verdict_on_a_copy() {
    let run = |message: &str| PrepackError::Compute(ComputeError::Run(ort::Error::new(message)));
    let rewrite = PrepackError::Rewrite;
    let system = |number| io::Error::from_raw_os_error(number);
    let read = |source| WeightsError::Read {
        path: PathBuf::new(),
        source,
    };
    let memory = AttentionError::Memory {
        blocks: 1,
        block_bytes: 1,
    };
    let not_finite = PackError::Scales {
        key: String::new(),
        dtype: 7,
    };
    for (error, is_machine) in [
        (
            PrepackError::Compute(ComputeError::OutOfMemory { bytes: 1 }),
            true,
        ),
        (run("std::bad_alloc"), true),
        (run("pthread_create failed"), true),
        (run("system error number 24"), true),
        (run("the graph changes how many there are"), false),
        (
            PrepackError::Compute(ComputeError::Interface("no logits".to_owned())),
            false,
        ),
        (rewrite(RewriteError::Threads(system(11))), true),
        (rewrite(RewriteError::Attention(memory)), true),
        (
            rewrite(RewriteError::Attention(AttentionError::HeadSize(9))),
            false,
        ),
        (rewrite(RewriteError::Weights(read(system(24)))), true),
        (rewrite(RewriteError::Pack(not_finite)), false),
        (rewrite(RewriteError::Graph(GraphError::NoGraph)), false),
        (
            rewrite(RewriteError::Runtime(Box::new(ComputeError::OutOfMemory {
                bytes: 1,
            }))),
            true,
        ),
        (at("write", Path::new("x"))(system(28)), true),
    ] {
        let said = error.to_string();
        assert_eq!(error.sorted().is_err(), is_machine, "{said}");
    }
}

#[test]
fn only_what_the_files_are_is_damage() {
    let system = |number| io::Error::from_raw_os_error(number);
    let read = |source| {
        RewriteError::Weights(WeightsError::Read {
            path: PathBuf::new(),
            source,
        })
    };
    let file = |source| RewriteError::File {
        action: "read",
        path: PathBuf::new(),
        source,
    };
    let short = WeightsError::Short { key: String::new() };
    let syntax = serde_json::from_str::<u32>("{").unwrap_err();
    for (error, is_damaged) in [
        (read(system(2)), true),
        (read(system(24)), false),
        (read(system(12)), false),
        (RewriteError::Weights(short), true),
        (file(io::Error::from(syntax)), true),
        (file(system(2)), true),
        (file(system(23)), false),
        (RewriteError::Threads(system(11)), false),
        (RewriteError::Operators(ort::Error::new("no memory")), false),
        (
            RewriteError::Attention(AttentionError::Memory {
                blocks: 1,
                block_bytes: 1,
            }),
            false,
        ),
        (RewriteError::Attention(AttentionError::HeadSize(0)), true),
        (
            RewriteError::Runtime(Box::new(ComputeError::OutOfMemory { bytes: 1 })),
            false,
        ),
    ] {
        let said = error.to_string();
        assert_eq!(error.is_damage(), is_damaged, "{said}");
        let kind = error.kind();
        assert!(is_damaged || kind != ErrorKind::ModelIncompatible, "{said}");
    }
}
