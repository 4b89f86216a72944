//! Products with whole matrices of small integers, as the passes see them: what dynamic quantization
//! writes (`DynamicQuantizeLinear`, `MatMulInteger`, `Cast`, `Mul`), ONNX Runtime's joined forms of
//! it (`DynamicQuantizeMatMul`, `MatMulIntegerToFloat`), and those whose weights come out of
//! `DequantizeLinear`, in [`super::dequantized`].
//!
//! All quantize activations to 8 bits, or not at all; our products quantize them in blocks with a
//! scale of their own, which is finer than one scale for a whole tensor.

use bytes::Bytes;

use super::super::Refusal;
use super::super::edit::Graph;
use super::super::index::{Index, is_microsoft, is_standard};
use super::super::plan::{Blocks, Form, Source};
use super::super::proto::NodeProto;
use super::super::tensor::{Place, TensorRef};
use super::dequantized;
use super::quantized::{MOST, Quantized};
use crate::onnx::dtype;

/// Columns that share a scale of activations, where more share one of weights; fewer where a matrix has fewer.
const BLOCK: u64 = 128;
const LEAST_BLOCK: u64 = 16;
const MOST_BLOCK: u64 = 256;

/// Where the operands of a product are.
pub(super) struct Operands<'g> {
    pub(super) nodes: Vec<usize>,
    pub(super) input: &'g str,
    pub(super) output: &'g str,
    pub(super) matrix: Matrix<'g>,
    pub(super) bias: Option<&'g str>,
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
    } else {
        dequantized::operands(index, number, node)
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
            form: Form::Columns { block: 0 },
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
            form: Form::Columns { block: 0 },
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
            form: Form::Columns { block: 0 },
        },
        bias: None,
    })
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
    if operands
        .bias
        .is_some_and(|bias| !dequantized::is_for_each(index, bias, source.rows))
    {
        return Err(Refusal::node(node, "its bias is not one number for each result"));
    }
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
    let (columns, rows, own_block) = match matrix.form {
        Form::Rows { block } => (second, first, block),
        Form::Columns { block } => (first, second, block),
        Form::Blocks | Form::Codes(_) => return Err(refused("its weights are of another form")),
    };
    if !(1..=MOST).contains(&columns) || !(1..=MOST).contains(&rows) {
        return Err(refused("it is empty or too large"));
    }
    let zero_points = zero_points.transpose()?.or_else(|| without(weights.dtype));
    let source = Source {
        zero_points: zero_points.filter(|points| !are_middle(points)),
        weights,
        scales,
        rows,
        form: matrix.form,
    };
    check(&source, columns).map_err(refused)?;
    let shape = Blocks {
        columns,
        block: block(columns, own_block)
            .ok_or_else(|| refused("its blocks cannot be cut into some of 16 to 256 columns"))?,
        bits: if is_half_byte(source.weights.dtype) { 4 } else { 8 },
    };
    Ok((source, shape))
}

/// Columns that will share a scale: those that do, or a part of them.
fn block(columns: u64, own: u64) -> Option<u64> {
    if own == 0 {
        return Some(columns.next_power_of_two().clamp(LEAST_BLOCK, BLOCK));
    }
    if own.is_power_of_two() && (LEAST_BLOCK..=MOST_BLOCK).contains(&own) {
        return Some(own);
    }
    let part = (1 << own.trailing_zeros()).min(BLOCK);
    (part >= LEAST_BLOCK).then_some(part)
}

fn is_half_byte(dtype: i64) -> bool {
    matches!(dtype, dtype::INT4 | dtype::UINT4)
}

fn check(source: &Source, columns: u64) -> Result<(), &'static str> {
    let kind = source.weights.dtype;
    if !matches!(kind, dtype::INT8 | dtype::UINT8) && !is_half_byte(kind) {
        return Err("its weights are neither bytes nor half bytes");
    }
    let rows = source.rows;
    let is_each = |tensor: &TensorRef| match source.form {
        Form::Columns { block } if block > 0 => tensor.dimensions == [columns.div_ceil(block), rows],
        Form::Rows { block } if block > 0 => tensor.dimensions == [rows, columns.div_ceil(block)],
        Form::Blocks | Form::Codes(_) | Form::Columns { .. } | Form::Rows { .. } => {
            is_one(tensor) || tensor.elements() == rows
        }
    };
    let is_float = matches!(
        source.scales.dtype,
        dtype::FLOAT | dtype::FLOAT16 | dtype::BFLOAT16
    );
    if !is_float || !is_each(&source.scales) {
        return Err("its scales are neither one for all nor one for each result or block");
    }
    match &source.zero_points {
        Some(points) if points.dtype != kind || !(is_each(points) || is_one(points)) => {
            Err("its zero points have another type or number than its weights and results")
        }
        Some(_) | None => Ok(()),
    }
}

fn is_one(tensor: &TensorRef) -> bool {
    tensor.elements() == 1
}

/// The zero point where none is given: 0, which is not the middle of numbers without a sign.
fn without(dtype: i64) -> Option<TensorRef> {
    matches!(dtype, dtype::UINT8 | dtype::UINT4).then(|| TensorRef {
        dtype,
        dimensions: Vec::new(),
        place: Place::Inline(Bytes::from_static(&[0])),
    })
}

/// Whether weights count from the middle of their range, as products do without zero points.
fn are_middle(points: &TensorRef) -> bool {
    let Place::Inline(bytes) = &points.place else {
        return false;
    };
    let middle = match points.dtype {
        dtype::INT8 | dtype::INT4 => 0,
        dtype::UINT8 => 0x80,
        dtype::UINT4 => 0x88,
        _ => return false,
    };
    // The upper half of the last byte may belong to nobody.
    let (whole, last) = match points.dtype {
        dtype::INT4 | dtype::UINT4 if points.elements() % 2 == 1 => bytes.split_at(bytes.len() - 1),
        _ => (&bytes[..], &[][..]),
    };
    whole.iter().all(|&point| point == middle) && last.iter().all(|&point| point & 15 == middle & 15)
}

#[cfg(test)]
#[path = "integer_tests.rs"]
mod tests;
