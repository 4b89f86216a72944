//! Small graphs as text, for tests: one value or node per line.
//!
//! ```text
//! input x f32[1,T,32]
//! output y f32[1,T,16]
//! constant w u8[16,1,16]        bytes that differ from constant to constant
//! number half f32 0.5           one element
//! integers axes 1 2             int64
//! y, z = ms.Operator(x, , w) {N=16, scale=0.5, mode="a", axes=[1,2]}
//! ```

use std::fmt::Write as _;

use bytes::Bytes;

use super::edit::Graph;
use super::plan::Plan;
use super::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
};
use super::{Changed, Refusal};
use crate::onnx::dtype;

type Pass = fn(&mut Graph, &mut Plan) -> Result<Changed, Refusal>;

pub(super) fn after(before: &str, pass: Pass) -> String {
    let mut graph = parse(before);
    pass(&mut graph, &mut Plan::default()).unwrap();
    text(&graph)
}

pub(super) fn plan_after(before: &str, pass: Pass) -> Plan {
    let mut plan = Plan::default();
    pass(&mut parse(before), &mut plan).unwrap();
    plan
}

/// Why a pass refuses a graph.
pub(super) fn refused(before: &str, pass: Pass) -> String {
    let refusal = pass(&mut parse(before), &mut Plan::default());
    refusal.unwrap_err().to_string()
}

pub(super) fn parse(text: &str) -> Graph {
    Graph::new(model(text), "model.onnx").unwrap()
}

pub(super) fn model(text: &str) -> ModelProto {
    let mut graph = GraphProto {
        name: "test".into(),
        ..GraphProto::default()
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["input", name, kind] => graph.input.push(value(name, kind)),
            ["output", name, kind] => graph.output.push(value(name, kind)),
            ["constant", name, kind] => {
                let tensor = constant(name, kind, graph.initializer.len());
                graph.initializer.push(tensor);
            }
            ["number", name, kind, number] => graph.initializer.push(number_of(name, kind, number)),
            ["integers", name, ..] => graph.initializer.push(integers_of(name, &words[2..])),
            _ => graph.node.push(node(line)),
        }
    }
    let opset = |domain: &str, version| OperatorSetIdProto {
        domain: domain.into(),
        version,
    };
    ModelProto {
        ir_version: 10,
        opset_import: vec![opset("", 21), opset("com.microsoft", 1)],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn type_of(name: &str) -> i64 {
    match name {
        "f32" => dtype::FLOAT,
        "f16" => dtype::FLOAT16,
        "u8" => dtype::UINT8,
        "u16" => dtype::UINT16,
        "i8" => dtype::INT8,
        "u4" => dtype::UINT4,
        "i4" => dtype::INT4,
        "i32" => dtype::INT32,
        "i64" => dtype::INT64,
        other => panic!("no type {other}"),
    }
}

/// `f32[1,T,32]`.
fn kind(text: &str) -> (i64, Vec<&str>) {
    let (name, sizes) = text.trim_end_matches(']').split_once('[').unwrap();
    (
        type_of(name),
        sizes.split(',').filter(|size| !size.is_empty()).collect(),
    )
}

fn value(name: &str, text: &str) -> ValueInfoProto {
    let (dtype, sizes) = kind(text);
    let dimension = |size: &&str| DimensionProto {
        dim_value: size.parse().ok(),
        dim_param: size.parse::<i64>().is_err().then(|| (*size).to_owned()),
        ..DimensionProto::default()
    };
    ValueInfoProto {
        name: name.into(),
        kind: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: dtype as i32,
                shape: Some(TensorShapeProto {
                    dim: sizes.iter().map(dimension).collect(),
                }),
            }),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// Small positive numbers, other ones for every constant.
fn constant(name: &str, text: &str, seed: usize) -> TensorProto {
    let (dtype, sizes) = kind(text);
    let dims: Vec<i64> = sizes.iter().map(|size| size.parse().unwrap()).collect();
    let elements: i64 = dims.iter().product();
    // Two to a byte.
    let elements = match dtype {
        dtype::UINT4 | dtype::INT4 => (elements + 1) / 2,
        _ => elements,
    };
    let pseudo = |place: i64| ((place as usize * 7 + seed * 13) * 2_654_435_761) >> 7;
    let data: Vec<u8> = (0..elements)
        .flat_map(|place| {
            let number = (pseudo(place) % 97) as f32 / 1000.0 - 0.04;
            match dtype {
                dtype::FLOAT => number.to_le_bytes().to_vec(),
                dtype::FLOAT16 => half::f16::from_f32(number).to_le_bytes().to_vec(),
                dtype::INT32 => (place as i32).to_le_bytes().to_vec(),
                dtype::INT64 => place.to_le_bytes().to_vec(),
                _ => vec![pseudo(place) as u8],
            }
        })
        .collect();
    TensorProto {
        name: name.into(),
        dims,
        data_type: dtype as i32,
        raw_data: Some(data.into()),
        ..TensorProto::default()
    }
}

fn number_of(name: &str, kind: &str, number: &str) -> TensorProto {
    let raw = match type_of(kind) {
        dtype::FLOAT => number.parse::<f32>().unwrap().to_le_bytes().to_vec(),
        dtype::INT64 => number.parse::<i64>().unwrap().to_le_bytes().to_vec(),
        dtype::INT8 => number.parse::<i8>().unwrap().to_le_bytes().to_vec(),
        dtype::UINT8 => vec![number.parse().unwrap()],
        dtype::UINT16 => number.parse::<u16>().unwrap().to_le_bytes().to_vec(),
        other => panic!("no number of type {other}"),
    };
    TensorProto {
        name: name.into(),
        data_type: type_of(kind) as i32,
        raw_data: Some(raw.into()),
        ..TensorProto::default()
    }
}

fn integers_of(name: &str, numbers: &[&str]) -> TensorProto {
    let raw = numbers
        .iter()
        .flat_map(|number| number.parse::<i64>().unwrap().to_le_bytes());
    TensorProto {
        name: name.into(),
        dims: vec![numbers.len() as i64],
        data_type: dtype::INT64 as i32,
        raw_data: Some(raw.collect::<Vec<u8>>().into()),
        ..TensorProto::default()
    }
}

fn names(text: &str) -> Vec<String> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    text.split(',').map(|name| name.trim().to_owned()).collect()
}

fn node(line: &str) -> NodeProto {
    let (outputs, rest) = line.split_once(" = ").unwrap();
    let (operator, rest) = rest.split_once('(').unwrap();
    let (inputs, attributes) = rest.split_once(')').unwrap();
    let (domain, op_type) = match operator.split_once('.') {
        Some(("ms", name)) => ("com.microsoft", name),
        Some((domain, name)) => (domain, name),
        None => ("", operator),
    };
    let attributes = attributes.trim().trim_start_matches('{').trim_end_matches('}');
    NodeProto {
        input: names(inputs),
        output: names(outputs),
        op_type: op_type.into(),
        domain: domain.into(),
        attribute: attributes
            .split(", ")
            .filter(|text| !text.is_empty())
            .map(attribute)
            .collect(),
        ..NodeProto::default()
    }
}

fn attribute(text: &str) -> AttributeProto {
    let (name, value) = text.split_once('=').unwrap();
    let mut attribute = AttributeProto {
        name: name.into(),
        ..AttributeProto::default()
    };
    if let Some(text) = value.strip_prefix('"') {
        attribute.kind = attribute_type::STRING;
        attribute.s = Some(Bytes::copy_from_slice(text.trim_end_matches('"').as_bytes()));
    } else if let Some(list) = value.strip_prefix('[') {
        attribute.kind = attribute_type::INTS;
        let numbers = list.trim_end_matches(']').split(',');
        attribute.ints = numbers.map(|number| number.parse().unwrap()).collect();
    } else if value.contains('.') {
        attribute.kind = attribute_type::FLOAT;
        attribute.f = Some(value.parse().unwrap());
    } else {
        attribute.kind = attribute_type::INT;
        attribute.i = Some(value.parse().unwrap());
    }
    attribute
}

/// The nodes as they are read by [`parse`].
pub(super) fn text(graph: &Graph) -> String {
    let lines: Vec<String> = graph.proto().node.iter().map(line).collect();
    lines.join("\n")
}

fn line(node: &NodeProto) -> String {
    let domain = match node.domain.as_str() {
        "" => String::new(),
        "com.microsoft" => "ms.".to_owned(),
        other => format!("{other}."),
    };
    let mut line = format!(
        "{} = {domain}{}({})",
        node.output.join(", "),
        node.op_type,
        node.input.join(", ")
    );
    let attributes: Vec<String> = node.attribute.iter().map(shown).collect();
    if !attributes.is_empty() {
        write!(line, " {{{}}}", attributes.join(", ")).unwrap();
    }
    line
}

fn shown(attribute: &AttributeProto) -> String {
    let name = &attribute.name;
    match attribute {
        AttributeProto { i: Some(i), .. } => format!("{name}={i}"),
        AttributeProto { f: Some(f), .. } => format!("{name}={f:?}"),
        AttributeProto { s: Some(s), .. } => format!("{name}={:?}", std::str::from_utf8(s).unwrap()),
        AttributeProto { ints, .. } => format!("{name}={ints:?}"),
    }
}
