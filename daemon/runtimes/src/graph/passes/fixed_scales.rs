//! Activations that a package rounds with scales of its own, fixed when it was made, stay as they
//! are: our products round them on arrival, row by row, and attention need not round at all. What
//! is left is the graph as it was before, with weights out of `DequantizeLinear`, which the other
//! passes know.
//!
//! `QLinearMatMul` -> `DequantizeLinear`, `MatMul`, `QuantizeLinear`. Then `QuantizeLinear` with
//! `DequantizeLinear` behind it -> nothing, or `Clip` where numbers of one sign are cut off, as
//! tools leave out a `Relu` before such a pair.

use std::collections::HashMap;

use super::super::edit::{Build, Edits, Graph};
use super::super::index::{Index, is_standard, nested};
use super::super::plan::Plan;
use super::super::proto::NodeProto;
use super::super::tensor::Place;
use super::super::{Changed, Refusal};
use crate::onnx::dtype;

/// Operators whose results have one sign without being cut.
const OF_ONE_SIGN: [&str; 4] = ["Abs", "Relu", "Sigmoid", "Softmax"];

/// The version of the standard since when `DequantizeLinear` has an axis; `Clip` has inputs for its
/// limits before that.
const AXES_AND_LIMITS: i64 = 13;

pub(in super::super) fn fixed_scales(graph: &mut Graph, _: &mut Plan) -> Result<Changed, Refusal> {
    if graph.standard_version() < AXES_AND_LIMITS {
        return Err(Refusal::Graph("its operators are of an older standard"));
    }
    let products = written_out(graph);
    let pairs = {
        let index = graph.index();
        let numbers = 0..index.nodes().len();
        numbers
            .filter_map(|number| pair(graph, &index, number))
            .collect::<Vec<_>>()
    };
    let (mut edits, mut others) = (Edits::default(), HashMap::new());
    for pair in &pairs {
        remove(graph, &mut edits, &mut others, pair);
    }
    graph.redirect(&others);
    graph.apply(edits);
    Changed::some(products + pairs.len())
}

/// A scale and a zero point, as nodes name them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rounding {
    scale: f32,
    zero_point: i32,
    dtype: i64,
}

impl Rounding {
    /// `None` where they are not the same for all numbers and at every run.
    fn of(graph: &Graph, index: &Index<'_>, scale: &str, zero_point: Option<&str>) -> Option<Self> {
        let scale = index.number(scale)? as f32;
        if !(scale.is_finite() && scale > 0.0) {
            return None;
        }
        let Some(zero_point) = zero_point else {
            return Some(Self {
                scale,
                zero_point: 0,
                dtype: dtype::UINT8,
            });
        };
        let stored = graph.reference(index, zero_point).ok()?;
        let Place::Inline(bytes) = &stored.place else {
            return None;
        };
        let zero_point = match (stored.dtype, &bytes[..]) {
            (dtype::UINT8, &[byte]) => i32::from(byte),
            (dtype::INT8, &[byte]) => i32::from(byte.cast_signed()),
            (dtype::UINT16, &[low, high]) => i32::from(u16::from_le_bytes([low, high])),
            (dtype::INT16, &[low, high]) => i32::from(i16::from_le_bytes([low, high])),
            _ => return None,
        };
        Some(Self {
            scale,
            zero_point,
            dtype: stored.dtype,
        })
    }

    /// Of a `QuantizeLinear` or a `DequantizeLinear`.
    fn of_node(graph: &Graph, index: &Index<'_>, node: &NodeProto) -> Option<Self> {
        let has_other_types = ["output_dtype", "precision"]
            .iter()
            .any(|name| node.integer(name).unwrap_or(0) != 0);
        if has_other_types {
            return None;
        }
        Self::of(graph, index, node.given(1)?, node.given(2))
    }

    fn range(self) -> [i32; 2] {
        match self.dtype {
            dtype::INT8 => [-128, 127],
            dtype::UINT16 => [0, 65_535],
            dtype::INT16 => [-32_768, 32_767],
            _ => [0, 255],
        }
    }

    /// The least and the greatest number that is left, where one of them is 0.
    fn one_sign(self) -> Option<[f32; 2]> {
        let range = self.range();
        let limit = |stored: i32| (stored - self.zero_point) as f32 * self.scale;
        range.contains(&self.zero_point).then(|| range.map(limit))
    }
}

/// Writes out every `QLinearMatMul` with fixed scales, and says how many there are.
fn written_out(graph: &mut Graph) -> usize {
    let found: Vec<(usize, NodeProto)> = {
        let index = graph.index();
        let nodes = index.nodes().iter().enumerate();
        nodes
            .filter(|(_, node)| is_standard(node, "QLinearMatMul") && is_fixed(graph, &index, node))
            .map(|(number, node)| (number, node.clone()))
            .collect()
    };
    let mut edits = Edits::default();
    for (number, node) in &found {
        let input = |place: usize| node.given(place);
        let (left, right) = (graph.fresh(&node.input[0]), graph.fresh(&node.input[3]));
        let product = graph.fresh(&node.output[0]);
        let linear = |first: usize, output: &str| {
            Build::standard("DequantizeLinear")
                .inputs(&[input(first), input(first + 1), input(first + 2)])
                .integer("axis", 1)
                .output(output)
        };
        let rounded = Build::standard("QuantizeLinear")
            .inputs(&[Some(&product), input(6), input(7)])
            .output(&node.output[0]);
        let multiplied = Build::standard("MatMul")
            .input(&left)
            .input(&right)
            .output(&product);
        edits.replace(
            *number,
            [linear(0, &left), linear(3, &right), multiplied, rounded],
        );
    }
    graph.apply(edits);
    found.len()
}

/// Whether both activations have one scale each, and the weights one for all or one per column.
fn is_fixed(graph: &Graph, index: &Index<'_>, node: &NodeProto) -> bool {
    let one = |scale: usize| {
        let scale_name = node.given(scale)?;
        Rounding::of(graph, index, scale_name, node.given(scale + 1))
    };
    let weights = node.given(3).and_then(|weights| index.constant(weights));
    if weights.is_some_and(|weights| weights.dims.len() != 2) {
        return false;
    }
    let per_column = || {
        let weights = weights?;
        let scales = index.constant(node.given(4)?)?;
        (scales.dims == [weights.dims[1]]).then_some(())
    };
    let has_results = node.made(0).is_some() && node.given(0).is_some() && node.given(3).is_some();
    has_results && one(1).is_some() && one(6).is_some() && (one(4).is_some() || per_column().is_some())
}

/// `QuantizeLinear` and `DequantizeLinear` that only round.
struct Pair {
    /// The second one.
    node: usize,
    input: String,
    output: String,
    limits: Option<[f32; 2]>,
}

fn pair(graph: &Graph, index: &Index<'_>, number: usize) -> Option<Pair> {
    let back = &index.nodes()[number];
    let (_, round) = index.producer(back.given(0)?)?;
    if !is_standard(back, "DequantizeLinear") || !is_standard(round, "QuantizeLinear") {
        return None;
    }
    let rounding = Rounding::of_node(graph, index, back)?;
    if Rounding::of_node(graph, index, round)? != rounding {
        return None;
    }
    let (input, output) = (round.given(0)?, back.made(0)?);
    let reads_inside = |&reader: &usize| nested(&index.nodes()[reader]).next().is_some();
    if index.is_output(output) || index.uses(output).iter().any(reads_inside) {
        return None;
    }
    let is_of_one_sign = || {
        let maker = index.producer(input).map(|(_, node)| node);
        maker.is_some_and(|node| OF_ONE_SIGN.iter().any(|name| is_standard(node, name)))
    };
    let limits = rounding.one_sign().filter(|_| !is_of_one_sign());
    // Limits are written as 32-bit floats.
    let is_float = || {
        index
            .constant(back.given(1)?)
            .map(|scale| i64::from(scale.data_type))
    };
    if limits.is_some() && is_float() != Some(dtype::FLOAT) {
        return None;
    }
    Some(Pair {
        node: number,
        input: input.to_owned(),
        output: output.to_owned(),
        limits,
    })
}

/// `others` are what is read in the place of outputs that are gone; pairs come in the order of the
/// graph, one may read what another made.
fn remove(graph: &mut Graph, edits: &mut Edits, others: &mut HashMap<String, String>, pair: &Pair) {
    match pair.limits {
        None => {
            edits.remove([pair.node]);
            let input = others.get(&pair.input).unwrap_or(&pair.input).clone();
            others.insert(pair.output.clone(), input);
        }
        Some(limits) => {
            let [least, greatest] = limits.map(|limit| graph.add_float("limit", limit));
            let clip = Build::standard("Clip")
                .inputs(&[
                    Some(others.get(&pair.input).unwrap_or(&pair.input)),
                    Some(&least),
                    Some(&greatest),
                ])
                .output(&pair.output);
            edits.replace(pair.node, [clip]);
        }
    }
}

#[cfg(test)]
#[path = "fixed_scales_tests.rs"]
mod tests;
