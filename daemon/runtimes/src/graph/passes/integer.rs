//! Products with whole matrices of bytes, as the passes see them: what dynamic quantization writes
//! (`DynamicQuantizeLinear`, `MatMulInteger`, `Cast`, `Mul`), ONNX Runtime's joined forms of it
//! (`DynamicQuantizeMatMul`, `MatMulIntegerToFloat`), and a `MatMul` whose weights come out of
//! `DequantizeLinear`.
//!
//! All quantize activations to 8 bits, or not at all; our products quantize them in blocks with a
//! scale of their own, which is finer than one scale for a whole tensor.

use super::super::Refusal;
use super::super::edit::Graph;
use super::super::index::{Index, is_microsoft, is_standard};
use super::super::plan::{Blocks, Form, Source};
use super::super::proto::NodeProto;
use super::super::tensor::{Place, TensorRef};
use super::quantized::{MOST, Quantized};
use crate::onnx::dtype;

/// Columns that share a scale of activations; fewer where a matrix has fewer.
const BLOCK: u64 = 128;
const LEAST_BLOCK: u64 = 16;

/// Where the operands of a product are.
struct Operands<'g> {
    nodes: Vec<usize>,
    input: &'g str,
    output: &'g str,
    matrix: Matrix<'g>,
    bias: Option<&'g str>,
}

/// The names of a matrix's parts.
pub(super) struct Matrix<'g> {
    pub(super) weights: &'g str,
    pub(super) scale: &'g str,
    pub(super) zero_point: Option<&'g str>,
    pub(super) form: Form,
}

/// The product that this node is the last of; `None` if it is no such node.
pub(super) fn product(graph: &Graph, index: &Index<'_>, number: usize) -> Option<Result<Quantized, Refusal>> {
    let node = &index.nodes()[number];
    let operands = if is_microsoft(node, "DynamicQuantizeMatMul") {
        dynamic(number, node)
    } else if is_microsoft(node, "MatMulIntegerToFloat") {
        to_float(index, number, node)
    } else if is_standard(node, "Mul") {
        written_out(index, number, node)
    } else if is_standard(node, "MatMul") {
        dequantized(index, number, node)
    } else {
        None
    }?;
    // Products of two computed values look the same.
    index.constant(operands.matrix.weights)?;
    if !index.is_closed(&operands.nodes, operands.output) {
        return Some(Err(Refusal::node(node, "others read what it is made of")));
    }
    Some(found(graph, index, node, &operands))
}

/// Whether a multiplication belongs to a product of bytes that is written out.
pub(super) fn ends_bytes(index: &Index<'_>, node: &NodeProto) -> bool {
    node.input.iter().any(|input| {
        let cast = index.producer(input).map(|(_, node)| node);
        let made = cast.filter(|node| is_standard(node, "Cast"));
        made.and_then(|node| index.producer(node.given(0)?))
            .is_some_and(|(_, node)| is_standard(node, "MatMulInteger"))
    })
}

/// Inputs A, B, scale of B, zero point of B, bias.
fn dynamic<'g>(number: usize, node: &'g NodeProto) -> Option<Operands<'g>> {
    Some(Operands {
        nodes: vec![number],
        input: node.given(0)?,
        output: node.made(0)?,
        matrix: Matrix {
            weights: node.given(1)?,
            scale: node.given(2)?,
            zero_point: node.given(3),
            form: Form::ColumnsOfBytes,
        },
        bias: node.given(4),
    })
}

/// Inputs A, B, scale of A, scale of B, zero point of A, zero point of B, bias.
fn to_float<'g>(index: &Index<'g>, number: usize, node: &'g NodeProto) -> Option<Operands<'g>> {
    let input = quantized_input(index, node.given(0)?, node.given(2)?, node.given(4)?)?;
    Some(Operands {
        nodes: vec![number],
        input,
        output: node.made(0)?,
        matrix: Matrix {
            weights: node.given(1)?,
            scale: node.given(3)?,
            zero_point: node.given(5),
            form: Form::ColumnsOfBytes,
        },
        bias: node.given(6),
    })
}

/// `Mul(Cast(MatMulInteger(a, B, zero point of a, zero point of B)), Mul(scale of a, scale of B))`.
fn written_out<'g>(index: &Index<'g>, number: usize, node: &'g NodeProto) -> Option<Operands<'g>> {
    let (product, scales) = either_order(node, |one, other| {
        let (cast_number, cast) = index.producer(one)?;
        let (integer_number, integer) = index.producer(cast.given(0)?)?;
        let is_product = is_standard(cast, "Cast") && is_standard(integer, "MatMulInteger");
        let (_, scales) = index.producer(other)?;
        (is_product && is_standard(scales, "Mul")).then_some(((integer_number, cast_number, integer), scales))
    })?;
    let (integer_number, cast_number, integer) = product;
    let (of_input, of_weights) = either_order(scales, |one, other| {
        index.constant(other)?;
        Some((one, other))
    })?;
    let input = quantized_input(index, integer.given(0)?, of_input, integer.given(2)?)?;
    Some(Operands {
        nodes: vec![integer_number, cast_number, number],
        input,
        output: node.made(0)?,
        matrix: Matrix {
            weights: integer.given(1)?,
            scale: of_weights,
            zero_point: integer.given(3),
            form: Form::ColumnsOfBytes,
        },
        bias: None,
    })
}

/// `MatMul(x, DequantizeLinear(B))`, or with B the other way round and transposed before or after.
fn dequantized<'g>(index: &Index<'g>, number: usize, node: &'g NodeProto) -> Option<Operands<'g>> {
    let read = node.given(1)?;
    let linear_output = transposed(index, read).unwrap_or(read);
    let (_, linear) = index.producer(linear_output)?;
    if !is_standard(linear, "DequantizeLinear") || linear.integer("block_size").unwrap_or(0) != 0 {
        return None;
    }
    let bytes = linear.given(0)?;
    let turned_before = transposed(index, bytes);
    let is_turned_after = linear_output != read;
    // One scale per result, or one for all: that is, along the other axis than the sum.
    let results = i64::from(!is_turned_after);
    let axis = linear.integer("axis").unwrap_or(1);
    let is_one = index.constant(linear.given(1)?)?.dims.iter().product::<i64>() == 1;
    if !is_one && axis != results && axis != results - 2 {
        return None;
    }
    Some(Operands {
        nodes: vec![number],
        input: node.given(0)?,
        output: node.made(0)?,
        matrix: Matrix {
            weights: turned_before.unwrap_or(bytes),
            scale: linear.given(1)?,
            zero_point: linear.given(2),
            form: if is_turned_after == turned_before.is_some() {
                Form::ColumnsOfBytes
            } else {
                Form::RowsOfBytes
            },
        },
        bias: None,
    })
}

/// The matrix that a value is the transpose of.
fn transposed<'g>(index: &Index<'g>, value: &str) -> Option<&'g str> {
    let (_, node) = index.producer(value)?;
    // Without an order it is the other way round.
    let turns = node.attribute("perm").is_none_or(|order| order.ints == [1, 0]);
    node.given(0).filter(|_| turns && is_standard(node, "Transpose"))
}

/// What `DynamicQuantizeLinear` makes these three of.
fn quantized_input<'g>(index: &Index<'g>, value: &str, scale: &str, zero_point: &str) -> Option<&'g str> {
    let (_, node) = index.producer(value)?;
    let is_whole = is_standard(node, "DynamicQuantizeLinear")
        && node.made(0) == Some(value)
        && node.made(1) == Some(scale)
        && node.made(2) == Some(zero_point);
    node.given(0).filter(|_| is_whole)
}

/// The first of both orders of two inputs in which they are what is looked for.
fn either_order<'g, T>(node: &'g NodeProto, look: impl Fn(&'g str, &'g str) -> Option<T>) -> Option<T> {
    let (one, other) = (node.given(0)?, node.given(1)?);
    look(one, other).or_else(|| look(other, one))
}

fn found(
    graph: &Graph,
    index: &Index<'_>,
    node: &NodeProto,
    operands: &Operands<'_>,
) -> Result<Quantized, Refusal> {
    let (source, shape) = source(graph, index, node, &operands.matrix)?;
    Ok(Quantized {
        nodes: operands.nodes.clone(),
        input: operands.input.to_owned(),
        output: operands.output.to_owned(),
        bias: operands.bias.map(str::to_owned),
        dtype: source.scales.dtype,
        source,
        shape,
    })
}

/// A matrix that a node reads, and how it will be cut.
pub(super) fn source(
    graph: &Graph,
    index: &Index<'_>,
    node: &NodeProto,
    matrix: &Matrix<'_>,
) -> Result<(Source, Blocks), Refusal> {
    let refused = |reason| Refusal::node(node, reason);
    let weights = graph.reference(index, matrix.weights)?;
    let scales = graph.reference(index, matrix.scale)?;
    let zero_points = matrix.zero_point.map(|name| graph.reference(index, name));
    let &[first, second] = &weights.dimensions[..] else {
        return Err(refused("its weights are not a matrix"));
    };
    let (columns, rows) = if matrix.form == Form::RowsOfBytes {
        (second, first)
    } else {
        (first, second)
    };
    if !(1..=MOST).contains(&columns) || !(1..=MOST).contains(&rows) {
        return Err(refused("it is empty or too large"));
    }
    let zero_points = zero_points.transpose()?.filter(|points| !are_middle(points));
    let source = Source {
        weights,
        scales,
        zero_points,
        rows,
        form: matrix.form,
    };
    check(&source).map_err(refused)?;
    let shape = Blocks {
        columns,
        block: columns.next_power_of_two().clamp(LEAST_BLOCK, BLOCK),
        bits: 8,
    };
    Ok((source, shape))
}

fn check(source: &Source) -> Result<(), &'static str> {
    if !matches!(source.weights.dtype, dtype::INT8 | dtype::UINT8) {
        return Err("its weights are not bytes");
    }
    let is_each = |tensor: &TensorRef| tensor.elements() == 1 || tensor.elements() == source.rows;
    let is_float = matches!(
        source.scales.dtype,
        dtype::FLOAT | dtype::FLOAT16 | dtype::BFLOAT16
    );
    if !is_float || !is_each(&source.scales) {
        return Err("its scales are neither one for all nor one for each result");
    }
    match &source.zero_points {
        Some(points) if points.dtype != source.weights.dtype || !is_each(points) => {
            Err("its zero points have another type or number than its weights and results")
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether weights count from the middle of their range, as products do without zero points.
fn are_middle(points: &TensorRef) -> bool {
    let middle = match points.dtype {
        dtype::INT8 => 0,
        dtype::UINT8 => 128,
        _ => return false,
    };
    match &points.place {
        Place::Inline(bytes) => bytes.iter().all(|&point| point == middle),
        Place::File { .. } => false,
    }
}

#[cfg(test)]
#[path = "integer_tests.rs"]
mod tests;
