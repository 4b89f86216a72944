//! Products whose weights come out of `DequantizeLinear`, as most tools that are not ONNX Runtime's
//! own write them: `MatMul` or `Gemm`, with the weights the other way round or not, and scales for
//! the whole matrix, for each result, or for blocks of the columns.

use super::super::index::{Index, is_standard};
use super::super::plan::Form;
use super::super::proto::NodeProto;
use super::integer::{Matrix, Operands};

/// The operands of a product that this node is; `None` if it is another node.
pub(super) fn operands<'g>(index: &Index<'g>, number: usize, node: &'g NodeProto) -> Option<Operands<'g>> {
    let product = Product::of(node)?;
    let read = node.given(1)?;
    let linear_output = transposed(index, read).unwrap_or(read);
    let (_, linear) = index.producer(linear_output)?;
    if !is_standard(linear, "DequantizeLinear") || !keeps_type(linear) {
        return None;
    }
    let bytes = linear.given(0)?;
    let turned_before = transposed(index, bytes);
    let is_turned_after = (linear_output != read) != product.is_turned;
    let block = block(index, linear, i64::from(!is_turned_after))?;
    // Scales of blocks would lie otherwise than the weights.
    if turned_before.is_some() && block != 0 {
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
                Form::Columns { block }
            } else {
                Form::Rows { block }
            },
        },
        bias: product.bias,
    })
}

/// What kind of product a node is.
struct Product<'g> {
    /// Its weights are `[results, columns]`.
    is_turned: bool,
    bias: Option<&'g str>,
}

impl<'g> Product<'g> {
    fn of(node: &'g NodeProto) -> Option<Self> {
        if is_standard(node, "MatMul") {
            return Some(Self {
                is_turned: false,
                bias: None,
            });
        }
        let is_set = |name| node.integer(name).unwrap_or(0) != 0;
        let is_one = |name| {
            let factor = node.float(name).unwrap_or(1.0);
            factor.to_bits() == 1_f32.to_bits()
        };
        let is_plain = is_standard(node, "Gemm") && !is_set("transA") && is_one("alpha") && is_one("beta");
        is_plain.then(|| Self {
            is_turned: is_set("transB"),
            bias: node.given(2),
        })
    }
}

/// Whether what comes out is of the type of the scales.
fn keeps_type(linear: &NodeProto) -> bool {
    linear.integer("output_dtype").unwrap_or(0) == 0
}

/// Columns that share a scale, 0 for all of them, where `results` is the axis of the results;
/// `None` where scales are along another axis.
fn block(index: &Index<'_>, linear: &NodeProto, results: i64) -> Option<u64> {
    let axis = linear.integer("axis").unwrap_or(1);
    let is_along = |wanted: i64| axis == wanted || axis == wanted - 2;
    let scales = &index.constant(linear.given(1)?)?.dims;
    let block = linear.integer("block_size").unwrap_or(0);
    if block == 0 {
        let is_one = scales.iter().all(|&length| length == 1);
        return (is_one || is_along(results)).then_some(0);
    }
    let fits = is_along(1 - results) && scales.len() == 2;
    u64::try_from(block).ok().filter(|_| fits)
}

/// The matrix that a value is the transpose of.
fn transposed<'g>(index: &Index<'g>, value: &str) -> Option<&'g str> {
    let (_, node) = index.producer(value)?;
    // Without an order it is the other way round.
    let turns = node.attribute("perm").is_none_or(|order| order.ints == [1, 0]);
    node.given(0).filter(|_| turns && is_standard(node, "Transpose"))
}

/// Whether a value is one number per result, as far as it is a constant, or comes out of one.
pub(super) fn is_for_each(index: &Index<'_>, value: &str, results: u64) -> bool {
    let linear = || {
        let (_, node) = index.producer(value)?;
        let stored = node.given(0).filter(|_| is_standard(node, "DequantizeLinear"))?;
        index.constant(stored)
    };
    let tensor = index.constant(value).or_else(linear);
    tensor.is_some_and(|tensor| matches!(tensor.dims[..], [size] if u64::try_from(size) == Ok(results)))
}

#[cfg(test)]
#[path = "dequantized_tests.rs"]
mod tests;
