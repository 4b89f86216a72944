//! Graph files written by hand, byte for byte.
#![expect(
    clippy::unwrap_in_result,
    reason = "set-up of tests, beside the result under test"
)]

use std::fs;

use proptest::prelude::*;

use super::*;

/// One length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = varint(u64::from(number) << 3 | 2);
    bytes.extend(varint(content.len() as u64));
    bytes.extend(content);
    bytes
}

fn number(field: u8, value: u64) -> Vec<u8> {
    [varint(u64::from(field) << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn model(graph: &[&[u8]]) -> Vec<u8> {
    field(7, &graph.concat())
}

fn node(domain: &str, name: &str) -> Vec<u8> {
    field(
        1,
        &[field(4, name.as_bytes()), field(7, domain.as_bytes())].concat(),
    )
}

fn entry(key: &str, value: &str) -> Vec<u8> {
    field(
        13,
        &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat(),
    )
}

/// A [2, 3] tensor of 32-bit floats in a file beside the graph.
fn external(location: &str, offset: &str, length: &str) -> Vec<u8> {
    let tensor = [
        field(1, &[2, 3]),
        number(2, 1),
        field(8, b"w"),
        entry("location", location),
        entry("offset", offset),
        entry("length", length),
        number(14, 1),
    ];
    field(5, &tensor.concat())
}

fn inspect_bytes(bytes: &[u8]) -> Result<Graph, String> {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("onnx")).unwrap();
    fs::write(home.path().join("onnx/model.onnx"), bytes).unwrap();
    fs::write(home.path().join("onnx/weights"), [0; 100]).unwrap();
    fs::write(home.path().join("outside"), [0; 100]).unwrap();
    let error = |error: PackageError| airunner_core::error::chain(&error);
    inspect(&Files::open(home.path()).unwrap(), "onnx/model.onnx").map_err(error)
}

#[test]
fn describes_inputs_operators_and_weights() {
    let dimension = |size: u64| field(1, &number(1, size));
    let shape = [
        field(1, &field(2, b"batch")),
        dimension(2),
        field(1, &[]),
        dimension(16),
    ]
    .concat();
    let kind = field(1, &[number(1, 1), field(2, &shape)].concat());
    let input = field(11, &[field(1, b"past.key"), field(2, &kind)].concat());
    let inner = field(
        1,
        &[field(4, b"If"), field(5, &field(6, &node("", "Concat")))].concat(),
    );
    let bytes = model(&[
        &input,
        &inner,
        &node("com.microsoft", "GroupQueryAttention"),
        &external("weights", "8", "24"),
    ]);
    let graph = inspect_bytes(&bytes).unwrap();
    assert_eq!(graph.inputs[0].name, "past.key");
    assert_eq!(
        (graph.inputs[0].dtype, &graph.inputs[0].dimensions[..]),
        (1, &[None, Some(2), None, Some(16)][..])
    );
    assert_eq!(graph.attention(), Attention::GroupQuery);
    let operators: Vec<_> = graph.operators.keys().map(ToString::to_string).collect();
    assert_eq!(operators, ["Concat", "If", "com.microsoft::GroupQueryAttention"]);
    assert_eq!(external_files("onnx/model.onnx", &graph), ["onnx/weights"]);
    assert_eq!((graph.external[0].offset, graph.external[0].length), (8, 24));
}

#[test]
fn weights_must_lie_inside_and_be_whole() {
    let cases = [
        (external("../../etc/passwd", "0", "24"), "not a relative path"),
        (external("/etc/passwd", "0", "24"), "not a relative path"),
        (external("../outside", "0", "24"), "not a relative path"),
        (external("*/_ORT_MEM_ADDR_/*", "0", "24"), "no onnx/*"),
        (external("nothing", "0", "24"), "no onnx/nothing"),
        (
            external("weights", "80", "24"),
            "needs bytes 80 to 104 of weights, which has 100",
        ),
        (
            external("weights", "90", "0"),
            "needs bytes 90 to 114 of weights, which has 100",
        ),
        (
            external("weights", "18446744073709551615", "18446744073709551615"),
            "which has 100",
        ),
        (external("weights", "-1", "24"), "offset is \"-1\""),
        (external("", "0", "24"), "onnx/ is not a regular file"),
    ];
    for (tensor, expected) in cases {
        let error = inspect_bytes(&model(&[&tensor])).unwrap_err();
        assert!(
            error.contains(expected) && error.contains("onnx/model.onnx"),
            "{error}"
        );
    }
}

#[test]
fn operators_of_unknown_libraries_are_named() {
    let error = inspect_bytes(&model(&[&node("evil.ops", "Run")])).unwrap_err();
    assert!(error.contains("evil.ops::Run"), "{error}");
    let function = field(25, &[field(1, b"Run"), field(10, b"evil.ops")].concat());
    let defined = [model(&[&node("evil.ops", "Run")]), function].concat();
    assert!(inspect_bytes(&defined).is_ok());
}

#[test]
fn damaged_files_are_refused() {
    let whole = model(&[&node("", "Add"), &external("weights", "0", "24")]);
    for cut in 0..whole.len() {
        assert!(inspect_bytes(&whole[..cut]).is_err(), "{cut}");
    }
    assert!(inspect_bytes(b"this is not a model").is_err());
    assert!(inspect_bytes(b"version https://git-lfs.github.com/spec/v1").is_err());
}

#[test]
fn bounds_hold() {
    let limits = Limits {
        bytes: 0,
        nodes: 2,
        tensors: 1,
        depth: 2,
        ..Limits::default()
    };
    let nodes = model(&[&node("", "Add"), &node("", "Add"), &node("", "Add")]);
    assert!(matches!(
        scan::scan(&nodes, &limits),
        Err(ScanError::TooManyNodes { limit: 2 })
    ));
    let tensors = model(&[&external("w", "0", "24"), &external("w", "0", "24")]);
    assert!(matches!(
        scan::scan(&tensors, &limits),
        Err(ScanError::TooManyTensors { limit: 1 })
    ));
    let limits = Limits { nodes: 10, ..limits };
    let mut deep = Vec::new();
    for _ in 0..4 {
        deep = field(1, &field(5, &field(6, &deep)));
    }
    assert!(matches!(
        scan::scan(&model(&[&deep]), &limits),
        Err(ScanError::TooDeep { limit: 2 })
    ));
}

/// A hundred megabytes of two-byte messages would take gigabytes of memory.
#[test]
fn what_is_short_in_the_file_and_long_in_memory_is_counted() {
    let refused = |model: &[u8]| scan::scan(model, &Limits::default()).unwrap_err().to_string();
    let many = |one: &[u8], count: usize| one.repeat(count);
    let empty_input = field(11, &[]);
    let values = "more than 100000 inputs, outputs, functions and kinds of operators";
    assert_eq!(refused(&model(&[&many(&empty_input, 100_001)])), values);
    let empty_output = field(12, &[]);
    let both = model(&[&many(&empty_input, 60_000), &many(&empty_output, 40_001)]);
    assert_eq!(refused(&both), values);
    let functions = [model(&[]), many(&field(25, &[]), 100_001)].concat();
    assert_eq!(refused(&functions), values);
    let operators: Vec<u8> = (0..=100_000)
        .flat_map(|each| node("", &each.to_string()))
        .collect();
    assert_eq!(refused(&model(&[&operators])), values);
    assert!(scan::scan(&model(&[&many(&empty_input, 100_000)]), &Limits::default()).is_ok());
}

#[test]
fn dimensions_and_names_are_bounded() {
    let input = |dimensions: usize| {
        let shape = field(1, &[]).repeat(dimensions);
        model(&[&field(11, &field(2, &field(1, &field(2, &shape))))])
    };
    assert!(scan::scan(&input(32), &Limits::default()).is_ok());
    assert!(matches!(
        scan::scan(&input(33), &Limits::default()),
        Err(ScanError::TooManyDimensions { limit: 32 })
    ));
    let long = "x".repeat(4097);
    for name in [
        field(11, &field(1, long.as_bytes())),
        node("", &long),
        node(&long, ""),
        external(&long, "0", "24"),
    ] {
        assert!(matches!(
            scan::scan(&model(&[&name]), &Limits::default()),
            Err(ScanError::NameTooLong { limit: 4096 })
        ));
    }
    let limits = Limits {
        names: 9,
        ..Limits::default()
    };
    let named = field(11, &field(1, b"12345"));
    assert!(matches!(
        scan::scan(&model(&[&named, &named]), &limits),
        Err(ScanError::TooManyNames { limit: 9 })
    ));
}

#[test]
fn entries_of_external_data_nobody_asks_for_are_not_kept() {
    let entries: Vec<u8> = (0..1000).flat_map(|key| entry(&key.to_string(), "")).collect();
    let tensor = [entries, entry("location", "weights"), number(2, 1), number(14, 1)].concat();
    let graph = scan::scan(&model(&[&field(5, &tensor)]), &Limits::default()).unwrap();
    assert_eq!(graph.external[0].location, "weights");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(scan::scan(&bytes, &Limits::default()));
        drop(scan::scan(&model(&[&bytes]), &Limits::default()));
    }
}
