//! Attention written out in standard operators -> `PagedAttention`, as exports of transformers
//! have it: scores, perhaps a soft cap, a causal mask, softmax, and keys and values that are
//! joined to a past. Rotation stays where it is, before: the operator gets `rotary` 0.
//!
//! All or nothing, as with `GroupQueryAttention`. The mask is computed for a few lengths, to see
//! that it is causal and how wide its window is. That heads are repeated the usual way is taken
//! for granted here: who loads the model compares what it computes.

use std::collections::HashMap;

use super::super::edit::{Build, Edits, Graph};
use super::super::evaluate::Evaluate;
use super::super::index::{Index, is_standard};
use super::super::masks::{self, Mask, MaskKind};
use super::super::plan::{AttentionLayer, Plan};
use super::super::proto::NodeProto;
use super::super::{Changed, Refusal};
use super::attention::{Attention, exchange};
use super::scope::Scope;
use super::width::reader_width;
use crate::onnx::dtype;

/// Nodes of one chain that are looked through.
const MAX_STEPS: usize = 16;

pub(in super::super) fn decomposed(
    graph: &mut Graph,
    plan: &mut Plan,
    evaluate: Option<&mut (dyn Evaluate + '_)>,
) -> Result<Changed, Refusal> {
    let (written, windows) = {
        let index = graph.index();
        let softmaxes = index.nodes().iter().filter(|node| is_standard(node, "Softmax"));
        let scope = Scope::of(graph, &index);
        let written: Vec<Written> = softmaxes
            .map(|node| {
                read(graph, &scope, node)
                    .ok_or_else(|| Refusal::node(node, "it is not an attention in a form that is known"))
            })
            .collect::<Result<_, _>>()?;
        if written.is_empty() {
            return Err(Refusal::Nothing);
        }
        let evaluate = evaluate.ok_or(Refusal::Graph("masks cannot be computed here"))?;
        let mut windows: HashMap<Mask, Option<u64>> = HashMap::new();
        for attention in &written {
            if !windows.contains_key(&attention.mask) {
                let window = masks::window(graph, &index, &attention.mask, evaluate)?;
                windows.insert(attention.mask.clone(), window);
            }
        }
        (written, windows)
    };
    let mut edits = Edits::default();
    let shape = graph.add_integers("tokens_first", &[0, 0, -1]);
    let mut found = Vec::new();
    for attention in written {
        let window = windows.get(&attention.mask).copied().flatten();
        found.push(flatten(graph, &mut edits, attention, &shape, window));
    }
    exchange(graph, plan, edits, &found)
}

/// An attention as it is written out.
struct Written {
    /// `[batch, heads, tokens, size]`: query, key and value of this step's tokens.
    heads: [Heads; 3],
    mask: Mask,
    scale: f32,
    softcap: f32,
    /// The node that gives the result as `[batch, tokens, width]`.
    last: usize,
    output: String,
    pasts: [String; 2],
    presents: [String; 2],
    dtype: i64,
    query_heads: u64,
    key_value_heads: u64,
    head_size: u64,
}

struct Heads {
    value: String,
    /// Already `[batch, tokens, heads, size]`.
    is_tokens_first: bool,
}

fn read(graph: &Graph, index: &Scope<'_, '_>, softmax: &NodeProto) -> Option<Written> {
    if !matches!(softmax.integer("axis").unwrap_or(-1), -1 | 3 | 4) {
        return None;
    }
    let (scores, mask) = masked(index, softmax.given(0)?)?;
    let (product, mut scale, softcap) = scored(index, scores)?;
    let query = scaled(
        index,
        product.given(0)?,
        &["Reshape", "Cast", "Identity"],
        &mut scale,
    )?;
    let keys = cached(index, product.given(1)?, &mut scale)?;
    let (weighted, values) = weighted(index, softmax.made(0)?)?;
    let mut unscaled = 1.0;
    let values = cached(index, values, &mut unscaled)?;
    let (last, output) = result(index, weighted)?;
    let sizes = graph.sizes_of(&keys.past)?;
    let &[_, Some(heads), _, Some(size)] = &sizes[..] else {
        return None;
    };
    let same = graph.sizes_of(&values.past)? == sizes && unscaled.to_bits() == 1_f64.to_bits();
    let dtype = graph.dtype_of(&keys.past);
    let is_float = matches!(dtype, dtype::FLOAT | dtype::FLOAT16 | dtype::BFLOAT16);
    let width = reader_width(graph, index, output)?;
    let is_divided =
        width > 0 && (1..=1024).contains(&size) && (1..=4096).contains(&heads) && width % size == 0;
    if !same || !is_float || !is_divided || (width / size) % heads != 0 {
        return None;
    }
    Some(Written {
        heads: [query, keys.added, values.added].map(|value| tokens_first(index, value)),
        mask,
        scale: scale as f32,
        softcap,
        last,
        output: output.to_owned(),
        pasts: [keys.past, values.past],
        presents: [keys.present, values.present],
        dtype,
        query_heads: (width / size).cast_unsigned(),
        key_value_heads: heads.cast_unsigned(),
        head_size: size.cast_unsigned(),
    })
}

/// What softmax reads: scores and a mask.
fn masked<'g>(index: &Scope<'_, 'g>, value: &'g str) -> Option<(&'g str, Mask)> {
    let value = through(index, value, &["Cast", "Identity"]);
    let (_, node) = index.producer(value)?;
    let (first, second) = (node.given(0)?, node.given(1)?);
    if is_standard(node, "Add") {
        let pairs = [(first, second), (second, first)];
        let (scores, mask) = pairs
            .into_iter()
            .find(|(scores, _)| scored(index, scores).is_some())?;
        return Some((scores, added(index, mask)));
    }
    if !is_standard(node, "Where") {
        return None;
    }
    let third = node.given(2)?;
    let (scores, kind) = match (is_lowest(index, second), is_lowest(index, third)) {
        (false, true) => (second, MaskKind::Seen),
        (true, false) => (third, MaskKind::Hidden),
        (true, true) | (false, false) => return None,
    };
    let value = first.to_owned();
    Some((scores, Mask { value, kind }))
}

fn is_lowest(index: &Scope<'_, '_>, value: &str) -> bool {
    index.number(value).is_some_and(|number| number < -1e3)
}

/// A mask that is added; what chooses between 0 and far below is shared between layers.
fn added(index: &Scope<'_, '_>, value: &str) -> Mask {
    let chosen = index
        .producer(value)
        .filter(|(_, node)| is_standard(node, "Where"));
    let parts = chosen.and_then(|(_, node)| Some((node.given(0)?, node.given(1)?, node.given(2)?)));
    let is_zero = |value| index.number(value) == Some(0.0);
    let (value, kind) = match parts {
        Some((chosen, yes, no)) if is_zero(yes) && is_lowest(index, no) => (chosen, MaskKind::Seen),
        Some((chosen, yes, no)) if is_lowest(index, yes) && is_zero(no) => (chosen, MaskKind::Hidden),
        _ => (value, MaskKind::Added),
    };
    Mask {
        value: value.to_owned(),
        kind,
    }
}

/// The product of query and key behind scores, its scale, and its soft cap (0: none).
fn scored<'g>(index: &Scope<'_, 'g>, value: &'g str) -> Option<(&'g NodeProto, f64, f32)> {
    let (mut value, mut scale, mut softcap) = (value, 1.0, 0.0);
    for _ in 0..MAX_STEPS {
        let (_, node) = index.producer(value)?;
        if is_standard(node, "MatMul") {
            return Some((node, scale, softcap));
        }
        if let Some((inner, cap)) = capped(index, node) {
            // A scale after the cap would be another function.
            if (scale - 1.0_f64).abs() > f64::EPSILON || softcap > 0.0 {
                return None;
            }
            (value, softcap) = (inner, cap as f32);
        } else if is_standard(node, "Cast") || is_standard(node, "Identity") {
            value = node.given(0)?;
        } else {
            let (inner, factor) = factor(index, node)?;
            (value, scale) = (inner, scale * factor);
        }
    }
    None
}

/// `tanh(x / cap) * cap`.
fn capped<'g>(index: &Scope<'_, 'g>, node: &'g NodeProto) -> Option<(&'g str, f64)> {
    let (value, cap) = factor(index, node)?;
    let (_, tanh) = index.producer(value)?;
    if !is_standard(tanh, "Tanh") {
        return None;
    }
    let (_, divided) = index.producer(tanh.given(0)?)?;
    let (inner, divisor) = factor(index, divided)?;
    ((cap * divisor - 1.0).abs() < 1e-3).then_some((inner, cap))
}

/// What a node multiplies by a constant.
fn factor<'g>(index: &Scope<'_, 'g>, node: &'g NodeProto) -> Option<(&'g str, f64)> {
    let (left, right) = (node.given(0)?, node.given(1)?);
    if is_standard(node, "Div") {
        return Some((left, 1.0 / index.number(right)?));
    }
    if !is_standard(node, "Mul") {
        return None;
    }
    match (index.number(left), index.number(right)) {
        (None, Some(number)) => Some((left, number)),
        (Some(number), None) => Some((right, number)),
        _ => None,
    }
}

fn through<'g>(index: &Index<'g>, value: &'g str, operators: &[&str]) -> &'g str {
    let mut value = value;
    for _ in 0..MAX_STEPS {
        let Some((_, node)) = index.producer(value) else {
            break;
        };
        let is_passed = operators.iter().any(|operator| is_standard(node, operator));
        let Some(input) = node.given(0).filter(|_| is_passed) else {
            break;
        };
        value = input;
    }
    value
}

/// A value before these operators and multiplications with constants.
fn scaled(index: &Scope<'_, '_>, value: &str, operators: &[&str], scale: &mut f64) -> Option<String> {
    let mut value = value;
    for _ in 0..MAX_STEPS {
        let Some((_, node)) = index.producer(value) else {
            break;
        };
        if operators.iter().any(|operator| is_standard(node, operator)) {
            value = node.given(0)?;
        } else if let Some((inner, factor)) = factor(index, node) {
            *scale *= factor;
            value = inner;
        } else {
            break;
        }
    }
    Some(value.to_owned())
}

/// Keys or values: a past, what this step adds, and both together.
struct Cached {
    past: String,
    added: String,
    present: String,
}

fn cached(index: &Scope<'_, '_>, value: &str, scale: &mut f64) -> Option<Cached> {
    const REPEATING: [&str; 6] = ["Transpose", "Reshape", "Unsqueeze", "Expand", "Cast", "Identity"];
    let joined = scaled(index, value, &REPEATING, scale)?;
    let (_, concat) = index.producer(&joined)?;
    let is_joined = is_standard(concat, "Concat")
        && concat.input.len() == 2
        && matches!(concat.integer("axis"), Some(2 | -2));
    let past = concat.given(0).filter(|past| is_joined && index.is_input(past))?;
    let present = if index.is_output(&joined) {
        joined.clone()
    } else {
        let readers = index.uses(&joined).iter().map(|&reader| &index.nodes()[reader]);
        let mut outputs = readers
            .filter(|node| is_standard(node, "Identity"))
            .filter_map(|node| node.made(0));
        outputs.find(|output| index.is_output(output))?.to_owned()
    };
    Some(Cached {
        past: past.to_owned(),
        added: concat.given(1)?.to_owned(),
        present,
    })
}

/// The product of the probabilities with the values: its output, and the values.
fn weighted<'g>(index: &Index<'g>, probabilities: &'g str) -> Option<(&'g str, &'g str)> {
    let mut value = probabilities;
    for _ in 0..MAX_STEPS {
        let readers = index.uses(value).iter().map(|&reader| &index.nodes()[reader]);
        // Rows that see nothing are set to 0 in some exports: no such row is here.
        let mut readers = readers.filter(|node| !is_standard(node, "IsNaN"));
        let node = readers.next()?;
        if readers.next().is_some() || index.is_output(value) {
            return None;
        }
        if is_standard(node, "MatMul") && node.given(0) == Some(value) {
            return Some((node.made(0)?, node.given(1)?));
        }
        let is_guard = is_standard(node, "Where") && node.given(2) == Some(value);
        if !is_guard && !is_standard(node, "Cast") && !is_standard(node, "Identity") {
            return None;
        }
        value = node.made(0)?;
    }
    None
}

/// The result as `[batch, tokens, width]`: behind the last change of its shape.
fn result<'g>(index: &Index<'g>, weighted: &'g str) -> Option<(usize, &'g str)> {
    let mut value = weighted;
    let mut last = None;
    for _ in 0..MAX_STEPS {
        let readers = index
            .uses(value)
            .iter()
            .map(|&reader| (reader, &index.nodes()[reader]));
        let mut shaped = readers.filter(|(_, node)| !is_standard(node, "Shape"));
        let (number, node) = shaped.next()?;
        let is_shaping = ["Reshape", "Transpose"]
            .iter()
            .any(|name| is_standard(node, name));
        if !is_shaping {
            return last;
        }
        if shaped.next().is_some() || node.given(0) != Some(value) {
            return None;
        }
        value = node.made(0)?;
        last = is_standard(node, "Reshape").then_some((number, value));
    }
    None
}

fn tokens_first(index: &Index<'_>, value: String) -> Heads {
    let turned = index.producer(&value).filter(|(_, node)| {
        let turn = node.attribute("perm").map(|perm| &perm.ints[..]);
        is_standard(node, "Transpose") && turn == Some(&[0, 2, 1, 3])
    });
    match turned.and_then(|(_, node)| node.given(0)) {
        Some(before) => Heads {
            value: before.to_owned(),
            is_tokens_first: true,
        },
        None => Heads {
            value,
            is_tokens_first: false,
        },
    }
}

/// Gives query, key and value the shape that the operator takes, before the last node.
fn flatten(
    graph: &mut Graph,
    edits: &mut Edits,
    written: Written,
    shape: &str,
    window: Option<u64>,
) -> Attention {
    let last = written.last;
    let inputs = written.heads.map(|heads| {
        let mut value = heads.value;
        if !heads.is_tokens_first {
            let turned = graph.fresh(&value);
            let node = Build::standard("Transpose")
                .input(&value)
                .integers("perm", &[0, 2, 1, 3]);
            edits.put_before(last, [node.output(&turned)]);
            value = turned;
        }
        let flat = graph.fresh(&value);
        let node = Build::standard("Reshape")
            .input(&value)
            .input(shape)
            .output(&flat);
        edits.put_before(last, [node]);
        Some(flat)
    });
    let [query, key, value] = inputs;
    Attention {
        node: last,
        inputs: [query, key, value, None, None, None],
        output: written.output,
        dtype: written.dtype,
        pasts: written.pasts,
        presents: written.presents,
        layer: AttentionLayer {
            query_heads: written.query_heads,
            key_value_heads: written.key_value_heads,
            head_size: written.head_size,
            window,
        },
        scale: written.scale,
        softcap: written.softcap,
        rotary: false,
        interleaved: false,
        smooth_softmax: false,
    }
}

#[cfg(test)]
#[path = "decomposed_tests.rs"]
mod tests;
