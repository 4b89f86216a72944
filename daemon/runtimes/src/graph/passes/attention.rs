//! `GroupQueryAttention` -> `PagedAttention`: tokens of several sequences in one step, keys and
//! values in blocks that the engine keeps.
//!
//! Inputs: query [1, T, *] (with key and value packed behind it, or alone), key or "", value or
//! "", cosine cache or "", sine cache or "", head sink or "". Attributes: `layer`, `query_heads`,
//! `key_value_heads`, `head_size`, `scale` (0: one by the root of the head size), `softcap` (0:
//! none), `window` (tokens that a token sees, itself included; -1: all), `rotary`, `interleaved`
//! and `smooth_softmax` (0 or 1).
//!
//! All or nothing: one attention that is left would still ask for its own past. Inputs and
//! outputs of past keys and values go, and what only told how long the past is.

use super::super::edit::{Build, Edits, Graph, narrowed};
use super::super::index::{Index, is_microsoft};
use super::super::plan::{AttentionLayer, Plan};
use super::super::proto::NodeProto;
use super::super::{Changed, Refusal};
use super::width::{reader_width, width};
use crate::onnx::dtype;

mod place {
    pub(super) const QUERY: usize = 0;
    pub(super) const KEY: usize = 1;
    pub(super) const VALUE: usize = 2;
    pub(super) const PAST_KEY: usize = 3;
    pub(super) const PAST_VALUE: usize = 4;
    pub(super) const COSINE: usize = 7;
    pub(super) const SINE: usize = 8;
    pub(super) const POSITIONS: usize = 9;
    pub(super) const BIAS: usize = 10;
    pub(super) const SINK: usize = 11;
    /// Scales of a quantized cache, norms of query and key.
    pub(super) const OTHERS: std::ops::Range<usize> = 12..32;
    pub(super) const PRESENT_KEY: usize = 1;
    pub(super) const PRESENT_VALUE: usize = 2;
}

/// Inputs of a step that hold no state.
const STATELESS: [&str; 5] = [
    "input_ids",
    "inputs_embeds",
    "position_ids",
    "num_logits_to_keep",
    super::super::ROWS_INPUT,
];

/// Operators that mix tokens: with several sequences in a step they would mix these.
const MIXING: [&str; 16] = [
    "Attention",
    "CausalConvWithState",
    "Conv",
    "ConvTranspose",
    "CumSum",
    "GRU",
    "GroupQueryAttention",
    "If",
    "LSTM",
    "LinearAttention",
    "Loop",
    "MultiHeadAttention",
    "RNN",
    "Scan",
    "Softmax",
    "SparseAttention",
];

pub(in super::super) fn attention(graph: &mut Graph, plan: &mut Plan) -> Result<Changed, Refusal> {
    let found = {
        let index = graph.index();
        let nodes = (0..).zip(index.nodes());
        nodes
            .filter(|(_, node)| is_microsoft(node, "GroupQueryAttention"))
            .map(|(number, node)| read(graph, &index, number, node))
            .collect::<Result<Vec<_>, _>>()?
    };
    if found.is_empty() {
        return Err(Refusal::Nothing);
    }
    exchange(graph, plan, Edits::default(), &found)
}

/// Puts the operator in the place of attentions, and takes out what they kept.
pub(super) fn exchange(
    graph: &mut Graph,
    plan: &mut Plan,
    mut edits: Edits,
    found: &[Attention],
) -> Result<Changed, Refusal> {
    for (layer, attention) in found.iter().enumerate() {
        replace(graph, &mut edits, layer, attention);
    }
    graph.apply(edits);
    let presents: Vec<&String> = found.iter().flat_map(|attention| &attention.presents).collect();
    graph.remove_outputs(|name| presents.iter().any(|present| *present == name));
    let pasts: Vec<&String> = found.iter().flat_map(|attention| &attention.pasts).collect();
    graph.remove_unread_inputs(|name| {
        // Lengths of the past come from the mask, or are inputs themselves.
        pasts.iter().any(|past| *past == name) || !STATELESS.contains(&name) && !is_state(name)
    });
    check_rest(graph)?;
    plan.attention = found.iter().map(|attention| attention.layer).collect();
    Ok(Changed(found.len()))
}

/// States of other kinds must not go unseen, even where nothing reads them.
fn is_state(name: &str) -> bool {
    name.starts_with("past") || name.contains("state")
}

/// That nothing is left which knows of one sequence only.
fn check_rest(graph: &Graph) -> Result<(), Refusal> {
    let inputs = &graph.proto().input;
    if inputs
        .iter()
        .any(|input| !STATELESS.contains(&input.name.as_str()))
    {
        return Err(Refusal::Graph(
            "other inputs than tokens, positions and rows are left when keys and values are kept elsewhere",
        ));
    }
    let mixing = graph
        .proto()
        .node
        .iter()
        .find(|node| MIXING.contains(&node.op_type.as_str()));
    match mixing {
        Some(node) => Err(Refusal::node(node, "it may mix tokens of several sequences")),
        None => Ok(()),
    }
}

/// What is put in the place of an attention.
pub(super) struct Attention {
    pub(super) node: usize,
    /// Query, key, value, cosine, sine, sink.
    pub(super) inputs: [Option<String>; 6],
    pub(super) output: String,
    pub(super) dtype: i64,
    pub(super) pasts: [String; 2],
    pub(super) presents: [String; 2],
    pub(super) layer: AttentionLayer,
    pub(super) scale: f32,
    pub(super) softcap: f32,
    pub(super) rotary: bool,
    pub(super) interleaved: bool,
    pub(super) smooth_softmax: bool,
}

fn read(graph: &Graph, index: &Index<'_>, number: usize, node: &NodeProto) -> Result<Attention, Refusal> {
    let refused = |reason| Refusal::node(node, reason);
    check_kind(graph, node).map_err(refused)?;
    let (pasts, presents) = cache(index, node).map_err(refused)?;
    let dtype = graph.dtype_of(&pasts[0]);
    if !matches!(dtype, dtype::FLOAT | dtype::FLOAT16 | dtype::BFLOAT16) {
        return Err(refused("its cache does not hold floats"));
    }
    let heads = |name| node.integer(name).filter(|heads| (1..=4096).contains(heads));
    let (Some(query_heads), Some(key_value_heads)) = (heads("num_heads"), heads("kv_num_heads")) else {
        return Err(refused("it does not say how many heads it has"));
    };
    let given = |place| node.given(place).map(str::to_owned);
    let head_size = head_size(graph, index, node, [query_heads, key_value_heads]);
    let window = node.integer("local_window_size").unwrap_or(-1);
    Ok(Attention {
        node: number,
        inputs: [
            given(place::QUERY),
            given(place::KEY),
            given(place::VALUE),
            given(place::COSINE),
            given(place::SINE),
            given(place::SINK),
        ],
        output: node
            .made(0)
            .ok_or_else(|| refused("it has no output"))?
            .to_owned(),
        dtype,
        pasts,
        presents,
        layer: AttentionLayer {
            query_heads: query_heads.cast_unsigned(),
            key_value_heads: key_value_heads.cast_unsigned(),
            head_size: head_size.ok_or_else(|| refused("the size of its heads is nowhere to be seen"))?,
            window: u64::try_from(window).ok().filter(|&window| window > 0),
        },
        scale: node.float("scale").unwrap_or(0.0),
        softcap: node.float("softcap").unwrap_or(0.0),
        rotary: is_set(node, "do_rotary"),
        interleaved: is_set(node, "rotary_interleaved"),
        smooth_softmax: is_set(node, "smooth_softmax"),
    })
}

fn is_set(node: &NodeProto, name: &str) -> bool {
    node.integer(name).unwrap_or(0) == 1
}

fn check_kind(graph: &Graph, node: &NodeProto) -> Result<(), &'static str> {
    if place::OTHERS.into_iter().any(|place| node.given(place).is_some()) {
        return Err("its cache is quantized, or it norms query and key itself");
    }
    let quantized = ["k_quant_type", "v_quant_type"]
        .iter()
        .any(|name| node.text(name).is_some_and(|kind| kind != "NONE"));
    if quantized || node.integer("kv_cache_bit_width").unwrap_or(0) != 0 {
        return Err("its cache is quantized");
    }
    if node.given(place::BIAS).is_some() {
        return Err("it has a bias for every pair of tokens");
    }
    if node.output.len() > place::PRESENT_VALUE + 1 || node.integer("qk_output").unwrap_or(0) != 0 {
        return Err("it gives its scores away");
    }
    if node.given(place::KEY).is_some() != node.given(place::VALUE).is_some() {
        return Err("it has a key without a value");
    }
    // Where each token stands is what the engine feeds and what a block table says as well.
    let positions = node.given(place::POSITIONS);
    if positions.is_some_and(|name| {
        name != "position_ids" || graph.sizes_of(name).is_none_or(|sizes| sizes.len() != 2)
    }) {
        return Err("its positions are computed");
    }
    let caches = [place::COSINE, place::SINE].map(|place| node.given(place).is_some());
    if is_set(node, "do_rotary") && caches != [true, true] {
        return Err("it rotates without sines and cosines");
    }
    Ok(())
}

fn cache(index: &Index<'_>, node: &NodeProto) -> Result<([String; 2], [String; 2]), &'static str> {
    let pasts = [place::PAST_KEY, place::PAST_VALUE];
    cached(index, node, pasts, [place::PRESENT_KEY, place::PRESENT_VALUE])
}

/// Names of past and present: inputs and outputs of the graph that nothing else touches.
pub(super) fn cached(
    index: &Index<'_>,
    node: &NodeProto,
    pasts: [usize; 2],
    presents: [usize; 2],
) -> Result<([String; 2], [String; 2]), &'static str> {
    let past = |place| {
        let name = node.given(place).ok_or("it has no past")?;
        let is_only_here = index.is_input(name) && index.uses(name).len() == 1;
        is_only_here
            .then(|| name.to_owned())
            .ok_or("its past is no input of the graph, or is read elsewhere")
    };
    let present = |place| {
        let name = node.made(place).ok_or("it has no present")?;
        let is_only_given = index.is_output(name) && index.uses(name).is_empty();
        is_only_given
            .then(|| name.to_owned())
            .ok_or("its present is no output of the graph, or is read elsewhere")
    };
    Ok((
        [past(pasts[0])?, past(pasts[1])?],
        [present(presents[0])?, present(presents[1])?],
    ))
}

/// From the cache's shape if it is fixed, else from the matrices before and after.
fn head_size(graph: &Graph, index: &Index<'_>, node: &NodeProto, heads: [i64; 2]) -> Option<u64> {
    let [query_heads, key_value_heads] = heads;
    let fixed = |name: Option<&str>| {
        let sizes = graph.sizes_of(name?)?;
        sizes.get(3).copied().flatten()
    };
    let all = if node.given(place::KEY).is_some() {
        query_heads
    } else {
        query_heads + 2 * key_value_heads
    };
    let divided = |width: i64, heads: i64| (width % heads == 0).then(|| width / heads);
    let size = fixed(node.given(place::PAST_KEY))
        .or_else(|| fixed(node.made(place::PRESENT_KEY)))
        .or_else(|| divided(width(graph, index, node.given(place::QUERY)?)?, all))
        .or_else(|| divided(reader_width(graph, index, node.made(0)?)?, query_heads))?;
    u64::try_from(size).ok().filter(|size| (1..=1024).contains(size))
}

fn replace(graph: &mut Graph, edits: &mut Edits, layer: usize, attention: &Attention) {
    let wide = attention.inputs.clone().map(|input| {
        let name = input?;
        if attention.dtype == dtype::FLOAT {
            return Some(name);
        }
        let wide = graph.fresh(&name);
        edits.put_before(attention.node, [Build::cast(&name, &wide, dtype::FLOAT)]);
        Some(wide)
    });
    let (output, cast) = narrowed(graph, &attention.output, attention.dtype);
    let names: Vec<Option<&str>> = wide.iter().map(Option::as_deref).collect();
    let kept = attention.layer;
    let window = kept.window.and_then(|window| i64::try_from(window).ok());
    let node = Build::ours("PagedAttention")
        .inputs(&names)
        .integer("layer", i64::try_from(layer).unwrap_or(i64::MAX))
        .integer("query_heads", kept.query_heads.cast_signed())
        .integer("key_value_heads", kept.key_value_heads.cast_signed())
        .integer("head_size", kept.head_size.cast_signed())
        .float("scale", attention.scale)
        .float("softcap", attention.softcap)
        .integer("window", window.unwrap_or(-1))
        .integer("rotary", i64::from(attention.rotary))
        .integer("interleaved", i64::from(attention.interleaved))
        .integer("smooth_softmax", i64::from(attention.smooth_softmax))
        .output(&output);
    edits.replace(attention.node, [Some(node), cast].into_iter().flatten());
}

#[cfg(test)]
#[path = "attention_tests.rs"]
mod tests;
