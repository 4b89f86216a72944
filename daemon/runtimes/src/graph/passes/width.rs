//! How wide a value is, told from the matrices that make or read it.

use super::super::edit::Graph;
use super::super::index::{Index, is_microsoft, is_ours, is_standard};
use super::super::proto::NodeProto;

/// Nodes on the way that are looked through.
const MAX_STEPS: usize = 8;

/// The last dimension of a value.
pub(super) fn width(graph: &Graph, index: &Index<'_>, value: &str) -> Option<i64> {
    let mut value = value;
    for _ in 0..MAX_STEPS {
        let stated = graph.sizes_of(value).and_then(|sizes| *sizes.last()?);
        if stated.is_some() {
            return stated;
        }
        let (_, node) = index.producer(value)?;
        if let Some(rows) = made_by(index, node, value) {
            return Some(rows);
        }
        let keeps = ["Add", "Cast", "Identity", "Mul"]
            .iter()
            .any(|name| is_standard(node, name));
        value = node
            .input
            .iter()
            .find(|input| keeps && !index.is_constant(input))?;
    }
    None
}

fn made_by(index: &Index<'_>, node: &NodeProto, value: &str) -> Option<i64> {
    if is_ours(node, "QuantizedMatMul") {
        return node.integer("rows");
    }
    if is_microsoft(node, "MatMulNBits") {
        return node.integer("N");
    }
    if is_standard(node, "MatMul") {
        return index.constant(node.given(1)?)?.dims.get(1).copied();
    }
    if is_standard(node, "Split") && node.integer("axis") == Some(-1) {
        let part = node.output.iter().position(|output| output == value)?;
        return index.integers(node.given(1)?)?.get(part).copied();
    }
    if is_standard(node, "Reshape") {
        let last = *index.integers(node.given(1)?)?.last()?;
        return (last > 0).then_some(last);
    }
    None
}

/// The last dimension of a value that a matrix reads.
pub(super) fn reader_width(graph: &Graph, index: &Index<'_>, value: &str) -> Option<i64> {
    let mut value = value;
    for _ in 0..MAX_STEPS {
        let stated = graph.sizes_of(value).and_then(|sizes| *sizes.last()?);
        if stated.is_some() {
            return stated;
        }
        let (_, node) = index.sole_use(value)?;
        if let Some(columns) = read_by(index, node) {
            return Some(columns);
        }
        let keeps = is_standard(node, "Cast") || is_standard(node, "Identity");
        value = node.made(0).filter(|_| keeps)?;
    }
    None
}

fn read_by(index: &Index<'_>, node: &NodeProto) -> Option<i64> {
    if is_ours(node, "QuantizedMatMul") {
        return node.integer("columns");
    }
    if is_microsoft(node, "MatMulNBits") {
        return node.integer("K");
    }
    if is_standard(node, "MatMul") {
        return index.constant(node.given(1)?)?.dims.first().copied();
    }
    None
}
