//! Products with the same input become one: the activations are quantized once, and one pass
//! over the memory is longer than three.
//!
//! Query, key and value of one attention -> one `QuantizedMatMul`, whose output is the packed
//! query that `GroupQueryAttention` takes; or, where they do not go there directly, a `Split` behind
//! it. Gate and up -> `QuantizedGatedMatMul`: input A;
//! attributes `weights`, `rows` (N of one of them), `columns` and `activation` ("silu",
//! "gelu_tanh" or "gelu_erf").

use std::collections::HashSet;

use super::super::edit::{Build, Edits, Graph, Widened, narrowed};
use super::super::index::{Index, is_microsoft};
use super::super::plan::{Arrangement, Plan};
use super::super::{Changed, Refusal};
use super::activation::gated;
use super::quantized::{Quantized, halves_of, product_of};
use super::siblings::{self, joined_bias, siblings};

pub(in super::super) fn merged(graph: &mut Graph, plan: &mut Plan) -> Result<Changed, Refusal> {
    let (attentions, gates, families) = {
        let index = graph.index();
        let (attentions, gates) = (attentions(graph, &index), gates(graph, &index));
        let parts = attentions.iter().flat_map(|attention| &attention.parts);
        let in_gates = gates.iter().flat_map(|gate| &gate.nodes);
        let taken: HashSet<usize> = parts
            .flat_map(|part| &part.nodes)
            .chain(in_gates)
            .copied()
            .collect();
        let families = siblings(graph, &index, &taken);
        (attentions, gates, families)
    };
    let mut edits = Edits::default();
    for attention in &attentions {
        pack_attention(graph, plan, &mut edits, attention);
    }
    for gate in &gates {
        pack_gate(graph, plan, &mut edits, gate);
    }
    for family in &families {
        siblings::pack(graph, plan, &mut edits, family);
    }
    graph.apply(edits);
    Changed::some(attentions.len() + gates.len() + families.len())
}

/// Query, key and value of an attention.
struct Attention {
    node: usize,
    parts: [Quantized; 3],
}

fn attentions(graph: &Graph, index: &Index<'_>) -> Vec<Attention> {
    let nodes = (0..).zip(index.nodes());
    nodes
        .filter(|(_, node)| is_microsoft(node, "GroupQueryAttention"))
        .filter_map(|(number, node)| {
            let part = |place| {
                let value = node.given(place)?;
                index.sole_use(value)?;
                product_of(graph, index, value)
            };
            let parts = [part(0)?, part(1)?, part(2)?];
            let [query, key, value] = &parts;
            let heads = |name| node.integer(name).and_then(|heads| u64::try_from(heads).ok());
            let (query_heads, key_heads) = (heads("num_heads")?, heads("kv_num_heads")?);
            let rows = |part: &Quantized| u128::from(part.source.rows);
            let fits = query.goes_with(key)
                && query.goes_with(value)
                && query.bias.is_some() == key.bias.is_some()
                && query.bias.is_some() == value.bias.is_some()
                && rows(key) == rows(value)
                // As many numbers per head everywhere, or the packed form would be cut elsewhere.
                && rows(query) * u128::from(key_heads) == rows(key) * u128::from(query_heads)
                && parts.iter().all(|part| index.is_closed(&part.nodes, &part.output));
            fits.then_some(Attention { node: number, parts })
        })
        .collect()
}

fn pack_attention(graph: &mut Graph, plan: &mut Plan, edits: &mut Edits, attention: &Attention) {
    let [query, ..] = &attention.parts;
    let sources: Vec<_> = attention.parts.iter().map(|part| part.source.clone()).collect();
    let rows: u64 = sources.iter().map(|source| source.rows).sum();
    let key = plan.pack(Arrangement::Stacked, sources, query.shape);
    let node = attention.node;
    let input = Widened::default().get(graph, edits, node, &query.input, query.dtype);
    let bias = joined_bias(graph, edits, node, &attention.parts);
    let packed = graph.fresh(&query.output);
    let (output, cast) = narrowed(graph, &packed, query.dtype);
    let product = Build::ours("QuantizedMatMul")
        .inputs(&[Some(&input), bias.as_deref()])
        .text("weights", &key)
        .integer("rows", rows.cast_signed())
        .integer("columns", query.shape.columns.cast_signed())
        .output(&output);
    let mut reader = graph.proto().node[node].clone();
    reader.input[0] = packed;
    reader.input[1].clear();
    reader.input[2].clear();
    edits.remove(attention.parts.iter().flat_map(|part| part.nodes.iter().copied()));
    edits.put_before(node, [Some(product), cast].into_iter().flatten());
    edits.replace(node, [reader]);
}

/// `act(gate) * up`.
struct Gate {
    nodes: Vec<usize>,
    /// The one that makes the output.
    last: usize,
    output: String,
    activation: &'static str,
    parts: [Quantized; 2],
}

fn gates(graph: &Graph, index: &Index<'_>) -> Vec<Gate> {
    let found = (0..index.nodes().len()).filter_map(|number| {
        let product = gated(index, number)?;
        let output = index.nodes()[number].made(0)?;
        let apart = || {
            let gate = product_of(graph, index, product.gate)?;
            let up = product_of(graph, index, product.up)?;
            (gate.nodes != up.nodes).then_some([gate, up])
        };
        let parts = apart().or_else(|| halves_of(graph, index, product.gate, product.up))?;
        let [gate, up] = &parts;
        let mut nodes = product.nodes;
        nodes.extend(gate.nodes.iter().chain(&up.nodes));
        let fits = gate.goes_with(up)
            && gate.source.rows == up.source.rows
            && gate.bias.is_none()
            && up.bias.is_none()
            && index.is_closed(&nodes, output);
        fits.then(|| Gate {
            nodes,
            last: number,
            output: output.to_owned(),
            activation: product.activation,
            parts,
        })
    });
    found.collect()
}

fn pack_gate(graph: &mut Graph, plan: &mut Plan, edits: &mut Edits, found: &Gate) {
    let [gate, up] = &found.parts;
    let sources = vec![gate.source.clone(), up.source.clone()];
    let key = plan.pack(Arrangement::Interleaved, sources, gate.shape);
    let input = Widened::default().get(graph, edits, found.last, &gate.input, gate.dtype);
    let (output, cast) = narrowed(graph, &found.output, gate.dtype);
    let node = Build::ours("QuantizedGatedMatMul")
        .input(&input)
        .text("weights", &key)
        .integer("rows", gate.source.rows.cast_signed())
        .integer("columns", gate.shape.columns.cast_signed())
        .text("activation", found.activation)
        .output(&output);
    edits.remove(found.nodes.iter().copied());
    edits.put_before(found.last, [Some(node), cast].into_iter().flatten());
}

#[cfg(test)]
#[path = "merged_tests.rs"]
mod tests;
