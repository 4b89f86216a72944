//! `MultiHeadAttention` with a past -> `PagedAttention`, where it is causal: by its attribute, or by
//! a bias that does nothing but hide, which is computed for a few lengths. Rotations of query and
//! key right before it go into the operator, which knows where each token stands.
//!
//! All or nothing, as with `GroupQueryAttention`.

use std::collections::HashMap;

use super::super::edit::{Edits, Graph};
use super::super::evaluate::Evaluate;
use super::super::index::{Index, is_microsoft};
use super::super::masks::{self, Mask, MaskKind};
use super::super::plan::{AttentionLayer, Plan};
use super::super::proto::NodeProto;
use super::super::{Changed, Refusal};
use super::attention::{Attention, cached, exchange};
use super::width::width;
use crate::onnx::dtype;

mod place {
    pub(super) const QUERY: usize = 0;
    pub(super) const KEY: usize = 1;
    pub(super) const VALUE: usize = 2;
    /// Added to query, key and value; which tokens are filling.
    pub(super) const BEFORE: [usize; 2] = [3, 4];
    pub(super) const BIAS: usize = 5;
    pub(super) const PASTS: [usize; 2] = [6, 7];
    /// The length of a past that is not all in use, and whose turn it is.
    pub(super) const OTHERS: std::ops::Range<usize> = 8..32;
    pub(super) const PRESENTS: [usize; 2] = [1, 2];
}

pub(in super::super) fn multi_head(
    graph: &mut Graph,
    plan: &mut Plan,
    evaluate: Option<&mut (dyn Evaluate + '_)>,
) -> Result<Changed, Refusal> {
    let found = {
        let index = graph.index();
        let nodes = (0..).zip(index.nodes());
        let mut found = nodes
            .filter(|(_, node)| is_microsoft(node, "MultiHeadAttention"))
            .map(|(number, node)| read(graph, &index, number, node))
            .collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() {
            return Err(Refusal::Nothing);
        }
        see_windows(graph, &index, &mut found, evaluate)?;
        found
    };
    let found: Vec<Attention> = found.into_iter().map(|(attention, _)| attention).collect();
    exchange(graph, plan, Edits::default(), &found)
}

/// Computes each mask once.
fn see_windows(
    graph: &Graph,
    index: &Index<'_>,
    found: &mut [(Attention, Option<Mask>)],
    mut evaluate: Option<&mut (dyn Evaluate + '_)>,
) -> Result<(), Refusal> {
    let mut windows: HashMap<Mask, Option<u64>> = HashMap::new();
    for (attention, mask) in found {
        let Some(mask) = mask else { continue };
        let window = match windows.get(mask) {
            Some(&window) => window,
            None => {
                let evaluate = evaluate.as_deref_mut();
                let evaluate = evaluate.ok_or(Refusal::Graph("masks cannot be computed here"))?;
                masks::window(graph, index, mask, evaluate)?
            }
        };
        windows.insert(mask.clone(), window);
        attention.layer.window = window;
    }
    Ok(())
}

fn read(
    graph: &Graph,
    index: &Index<'_>,
    number: usize,
    node: &NodeProto,
) -> Result<(Attention, Option<Mask>), Refusal> {
    let refused = |reason| Refusal::node(node, reason);
    check_kind(node).map_err(refused)?;
    let (pasts, presents) = cached(index, node, place::PASTS, place::PRESENTS).map_err(refused)?;
    let dtype = graph.dtype_of(&pasts[0]);
    if !matches!(dtype, dtype::FLOAT | dtype::FLOAT16 | dtype::BFLOAT16) {
        return Err(refused("its cache does not hold floats"));
    }
    let heads = node
        .integer("num_heads")
        .filter(|heads| (1..=4096).contains(heads));
    let heads = heads.ok_or_else(|| refused("it does not say how many heads it has"))?;
    let size = head_size(graph, index, node, &pasts, heads).map_err(refused)?;
    let rotated = Rotated::of(graph, index, node).map_err(refused)?;
    let mask = node.given(place::BIAS).map(|value| Mask {
        value: value.to_owned(),
        kind: MaskKind::Added,
    });
    let attention = Attention {
        node: number,
        inputs: [
            Some(rotated.query),
            Some(rotated.key),
            node.given(place::VALUE).map(str::to_owned),
            rotated.cosine,
            rotated.sine,
            None,
        ],
        output: node
            .made(0)
            .ok_or_else(|| refused("it has no output"))?
            .to_owned(),
        dtype,
        pasts,
        presents,
        layer: AttentionLayer {
            query_heads: heads.cast_unsigned(),
            key_value_heads: heads.cast_unsigned(),
            head_size: size,
            window: None,
        },
        scale: node.float("scale").unwrap_or(0.0),
        softcap: 0.0,
        rotary: rotated.is_rotated,
        interleaved: rotated.is_interleaved,
        smooth_softmax: false,
    };
    Ok((attention, mask))
}

fn check_kind(node: &NodeProto) -> Result<(), &'static str> {
    if place::BEFORE.iter().any(|&place| node.given(place).is_some()) {
        return Err("it adds to query, key and value, or hides what fills up");
    }
    if place::OTHERS.into_iter().any(|place| node.given(place).is_some()) {
        return Err("its past is of another kind");
    }
    if node.output.len() > place::PRESENTS[1] + 1 {
        return Err("it gives its scores away");
    }
    if node.given(place::VALUE).is_none() {
        return Err("its query, key and value are packed");
    }
    let is_causal = node.integer("unidirectional").unwrap_or(0) == 1;
    if !is_causal && node.given(place::BIAS).is_none() {
        return Err("every token sees every other");
    }
    Ok(())
}

/// As the past says, which query, key and value must agree with as far as they are known.
fn head_size(
    graph: &Graph,
    index: &Index<'_>,
    node: &NodeProto,
    pasts: &[String; 2],
    heads: i64,
) -> Result<u64, &'static str> {
    let sizes = pasts.each_ref().map(|past| graph.sizes_of(past));
    let [Some(key), Some(value)] = &sizes else {
        return Err("the size of its heads is nowhere to be seen");
    };
    let &[_, Some(kept), _, Some(size)] = &key[..] else {
        return Err("the size of its heads is nowhere to be seen");
    };
    let same = kept == heads && value.get(1) == key.get(1) && value.get(3) == key.get(3);
    if !same || !(1..=1024).contains(&size) {
        return Err("its past has other heads than it");
    }
    let agrees = |place| {
        let value = node.given(place)?;
        let before = rotation(index, value)
            .and_then(|node| node.given(0))
            .unwrap_or(value);
        width(graph, index, before).map(|width| width == heads * size)
    };
    if [place::QUERY, place::KEY, place::VALUE]
        .into_iter()
        .any(|place| agrees(place) == Some(false))
    {
        return Err("query, key or value are of another width than its heads");
    }
    Ok(size.cast_unsigned())
}

fn rotation<'g>(index: &Index<'g>, value: &str) -> Option<&'g NodeProto> {
    let (_, node) = index.producer(value)?;
    is_microsoft(node, "RotaryEmbedding").then_some(node)
}

/// Query and key before they are rotated.
struct Rotated {
    query: String,
    key: String,
    cosine: Option<String>,
    sine: Option<String>,
    is_rotated: bool,
    is_interleaved: bool,
}

impl Rotated {
    fn of(graph: &Graph, index: &Index<'_>, node: &NodeProto) -> Result<Self, &'static str> {
        let (Some(query), Some(key)) = (node.given(place::QUERY), node.given(place::KEY)) else {
            return Err("it has no query or no key");
        };
        let (turned_query, turned_key) = match (rotation(index, query), rotation(index, key)) {
            (Some(query), Some(key)) => (query, key),
            (None, None) => return Ok(Self::not(query, key)),
            (Some(_), None) | (None, Some(_)) => return Err("only one of query and key is rotated"),
        };
        let is_alone = [query, key].iter().all(|value| index.sole_use(value).is_some());
        let caches = |node: &NodeProto| [1, 2, 3].map(|place| node.given(place).map(str::to_owned));
        let numbers = |node: &NodeProto| {
            [
                "interleaved",
                "num_heads",
                "rotary_embedding_dim",
                "is_packed_batching",
            ]
            .map(|name| node.integer(name).unwrap_or(0))
        };
        let is_scaled = [turned_query, turned_key]
            .iter()
            .any(|node| node.float("scale").unwrap_or(1.0).to_bits() != 1_f32.to_bits());
        let [interleaved, heads, _, packed] = numbers(turned_query);
        let same = caches(turned_query) == caches(turned_key) && numbers(turned_query) == numbers(turned_key);
        if !same
            || !is_alone
            || is_scaled
            || packed != 0
            || ![0, node.integer("num_heads").unwrap_or(0)].contains(&heads)
        {
            return Err("query and key are not rotated alike");
        }
        let [positions, cosine, sine] = caches(turned_query);
        let are_fed = positions.is_some_and(|name| {
            name == "position_ids" && graph.sizes_of(&name).is_some_and(|sizes| sizes.len() == 2)
        });
        if !are_fed {
            return Err("its positions are computed");
        }
        let (Some(query), Some(key)) = (turned_query.given(0), turned_key.given(0)) else {
            return Err("it has no query or no key");
        };
        Ok(Self {
            cosine,
            sine,
            is_rotated: true,
            is_interleaved: interleaved == 1,
            ..Self::not(query, key)
        })
    }

    fn not(query: &str, key: &str) -> Self {
        Self {
            query: query.to_owned(),
            key: key.to_owned(),
            cosine: None,
            sine: None,
            is_rotated: false,
            is_interleaved: false,
        }
    }
}

#[cfg(test)]
#[path = "multi_head_tests.rs"]
mod tests;
