//! What the mask of an attention written out in standard operators lets a token see. The part of
//! the graph that makes the mask is cut out and computed for a few lengths: exporters write masks
//! in more ways than could be recognised.

use std::collections::{BTreeSet, HashMap, HashSet};

use prost::Message as _;

use super::Refusal;
use super::edit::{Build, Graph};
use super::evaluate::{Evaluate, Fed, Feed};
use super::index::{Index, is_microsoft, is_ours, is_standard};
use super::proto::{GraphProto, NodeProto};
use super::tensor::{Place, TensorRef};
use crate::onnx::dtype;

/// A mask, before it meets the scores.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mask {
    pub(super) value: String,
    pub(super) kind: MaskKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum MaskKind {
    /// Added to the scores: 0, or far below.
    Added,
    /// True where a token is seen.
    Seen,
    /// True where it is not.
    Hidden,
}

/// Nodes and constants of a part that is computed.
const MAX_NODES: usize = 400;
/// Numbers that a token keeps in a past that is fed: its memory is never touched.
const MAX_PAST_WIDTH: i64 = 8192;
const MAX_CONSTANT_BYTES: usize = 64 << 20;
/// Tokens before and in a step. The longest past is longer than any window in use.
const LENGTHS: [(i64, i64); 3] = [(0, 5), (7, 3), (33_000, 2)];
/// What hides a token is below this: the lowest half float is -65504.
const LOWEST: f32 = -1e3;

/// Tokens that a token sees, itself included; `None` for all before it.
pub(super) fn window(
    graph: &Graph,
    index: &Index<'_>,
    mask: &Mask,
    evaluate: &mut dyn Evaluate,
) -> Result<Option<u64>, Refusal> {
    let part = Part::of(index, &mask.value)?;
    let model = part.model(graph, index, &mask.value)?;
    let mut found = Window::default();
    for (past, tokens) in LENGTHS {
        let feeds = part.feeds(graph, index, past, tokens)?;
        let computed = evaluate.evaluate(&model, feeds);
        let (shape, values) = computed.map_err(|_| refused(mask, "it cannot be computed by itself"))?;
        let [leading @ .., rows, columns] = &shape[..] else {
            return Err(refused(mask, "it is no table of tokens by tokens"));
        };
        if leading.iter().any(|&size| size != 1) || (*rows, *columns) != (tokens, past + tokens) {
            return Err(refused(mask, "it is no table of tokens by tokens"));
        }
        let width = values.len() / usize::try_from(tokens).unwrap_or(1);
        for (row, values) in (past..).zip(values.chunks(width)) {
            let seen = seen(values, mask.kind).ok_or_else(|| refused(mask, "it does more than hide"))?;
            found
                .add(row, &seen)
                .ok_or_else(|| refused(mask, "it is not causal"))?;
        }
    }
    found.size(mask)
}

fn refused(mask: &Mask, reason: &'static str) -> Refusal {
    Refusal::tensor(&mask.value, reason)
}

/// Which tokens a row shows; `None` where it does more than show and hide.
fn seen(values: &[f32], kind: MaskKind) -> Option<Vec<bool>> {
    let is_seen = |&value: &f32| match kind {
        MaskKind::Seen => Some(value > 0.5),
        MaskKind::Hidden => Some(value < 0.5),
        MaskKind::Added if value.abs() < 1e-3 => Some(true),
        MaskKind::Added if value < LOWEST => Some(false),
        MaskKind::Added => None,
    };
    values.iter().map(is_seen).collect()
}

/// What the rows say so far.
#[derive(Default)]
struct Window {
    /// The most tokens of a row that sees all before it.
    whole: u64,
    cut: BTreeSet<u64>,
}

impl Window {
    fn add(&mut self, row: i64, seen: &[bool]) -> Option<()> {
        let row = usize::try_from(row).ok()?;
        let first = seen.iter().position(|&seen| seen)?;
        let is_causal = seen
            .iter()
            .enumerate()
            .all(|(place, &seen)| seen == (first..=row).contains(&place));
        if !is_causal {
            return None;
        }
        let count = (row - first + 1) as u64;
        if first == 0 {
            self.whole = self.whole.max(count);
        } else {
            self.cut.insert(count);
        }
        Some(())
    }

    fn size(&self, mask: &Mask) -> Result<Option<u64>, Refusal> {
        match (self.cut.len(), self.cut.first()) {
            (0, _) => Ok(None),
            (1, Some(&window)) if self.whole <= window => Ok(Some(window)),
            _ => Err(refused(mask, "its window is not the same for every token")),
        }
    }
}

/// The nodes that a value is computed by.
struct Part {
    nodes: BTreeSet<usize>,
    constants: HashSet<String>,
    inputs: HashSet<String>,
    /// Embeddings, of which only the shape can matter; with their width.
    embeddings: HashMap<String, i64>,
}

impl Part {
    fn of(index: &Index<'_>, value: &str) -> Result<Self, Refusal> {
        let mut part = Self {
            nodes: BTreeSet::new(),
            constants: HashSet::new(),
            inputs: HashSet::new(),
            embeddings: HashMap::new(),
        };
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            if let Some((number, node)) = index.producer(value) {
                if let Some(width) = embedding_width(index, node) {
                    part.embeddings.insert(value.to_owned(), width);
                } else if part.nodes.insert(number) {
                    if is_standard(node, "MatMul") || part.nodes.len() > MAX_NODES {
                        return Err(Refusal::tensor(value, "the mask depends on more than lengths"));
                    }
                    open.extend(super::index::reads(node));
                }
            } else if index.stored(value).is_some() {
                part.constants.insert(value.to_owned());
            } else {
                part.inputs.insert(value.to_owned());
            }
        }
        Ok(part)
    }

    fn model(&self, graph: &Graph, index: &Index<'_>, value: &str) -> Result<Vec<u8>, Refusal> {
        const OUTPUT: &str = "airunner/mask";
        let nodes = self.nodes.iter().map(|&number| index.nodes()[number].clone());
        let mut proto = GraphProto {
            name: "mask".to_owned(),
            node: nodes.collect(),
            ..GraphProto::default()
        };
        proto.node.push(Build::cast(value, OUTPUT, dtype::FLOAT));
        for name in &self.constants {
            let tensor = index
                .stored(name)
                .ok_or_else(|| Refusal::tensor(name, "it is gone"))?;
            match TensorRef::of(tensor, "")?.place {
                Place::Inline(bytes) if bytes.len() <= MAX_CONSTANT_BYTES => {}
                Place::Inline(_) | Place::File { .. } => {
                    return Err(Refusal::tensor(name, "the mask depends on weights"));
                }
            }
            proto.initializer.push(tensor.clone());
        }
        for input in &graph.proto().input {
            if self.inputs.contains(&input.name) {
                proto.input.push(input.clone());
            }
        }
        for name in self.embeddings.keys() {
            proto
                .input
                .push(super::edit::value_info(name, dtype::FLOAT, None));
        }
        proto
            .output
            .push(super::edit::value_info(OUTPUT, dtype::FLOAT, None));
        Ok(graph.model_of(proto).encode_to_vec())
    }

    fn feeds(&self, graph: &Graph, index: &Index<'_>, past: i64, tokens: i64) -> Result<Vec<Feed>, Refusal> {
        let inputs = self.inputs.iter().map(|name| {
            let unknown = || Refusal::tensor(name, "the mask depends on an unknown input");
            if !index.is_input(name) {
                return Err(unknown());
            }
            let sizes = graph.sizes_of(name).ok_or_else(unknown)?;
            input(name, &sizes, graph.dtype_of(name), past, tokens).ok_or_else(unknown)
        });
        let embeddings = self.embeddings.iter().map(|(name, &width)| {
            Ok(Feed {
                name: name.clone(),
                shape: vec![1, tokens, width],
                values: Fed::Zeros(dtype::FLOAT),
            })
        });
        inputs.chain(embeddings).collect()
    }
}

fn input(name: &str, sizes: &[Option<i64>], kind: i64, past: i64, tokens: i64) -> Option<Feed> {
    let integers = |length: i64, values: Vec<i64>| {
        (sizes.len() == 2 && kind == dtype::INT64).then(|| Feed {
            name: name.to_owned(),
            shape: vec![1, length],
            values: Fed::Integers(values),
        })
    };
    match name {
        "input_ids" => integers(tokens, (0..tokens).map(|_| 0).collect()),
        "attention_mask" => integers(past + tokens, (0..past + tokens).map(|_| 1).collect()),
        "position_ids" => integers(tokens, (past..past + tokens).collect()),
        _ if name.starts_with("past_key_values.") => {
            let &[_, Some(heads), _, Some(size)] = sizes else {
                return None;
            };
            let is_usual = heads > 0 && size > 0 && heads.checked_mul(size)? <= MAX_PAST_WIDTH;
            is_usual.then(|| Feed {
                name: name.to_owned(),
                shape: vec![1, heads, past, size],
                values: Fed::Zeros(kind),
            })
        }
        _ => None,
    }
}

/// The width of what a node looks up, if it looks up embeddings.
fn embedding_width(index: &Index<'_>, node: &NodeProto) -> Option<i64> {
    if is_ours(node, "QuantizedRows") {
        return node.integer("columns");
    }
    if is_microsoft(node, "GatherBlockQuantized") {
        // The width is that of the packed table times what is packed; masks do not ask for it.
        return Some(1);
    }
    let table = index.constant(node.given(0)?)?;
    match table.dims[..] {
        [_, width] if is_standard(node, "Gather") && node.integer("axis").unwrap_or(0) == 0 => Some(width),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::parse;
    use super::*;

    /// Answers with a mask of its own.
    struct Fixed(fn(i64, i64) -> f32);

    impl Evaluate for Fixed {
        fn evaluate(&mut self, _model: &[u8], inputs: Vec<Feed>) -> Result<(Vec<i64>, Vec<f32>), String> {
            let length = |name: &str| inputs.iter().find(|feed| feed.name == name).unwrap().shape[1];
            let (tokens, total) = (length("input_ids"), length("attention_mask"));
            let cells = (total - tokens..total).flat_map(|row| (0..total).map(move |column| (row, column)));
            let values = cells.map(|(row, column)| (self.0)(row, column)).collect();
            Ok((vec![1, 1, tokens, total], values))
        }
    }

    fn found(kind: MaskKind, cell: fn(i64, i64) -> f32) -> Result<Option<u64>, String> {
        let graph = parse(
            "input input_ids i64[B,S]
            input attention_mask i64[B,T]
            output y f32[1]
            y = Mask(input_ids, attention_mask)",
        );
        let mask = Mask {
            value: "y".to_owned(),
            kind,
        };
        let window = window(&graph, &graph.index(), &mask, &mut Fixed(cell));
        window.map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn windows_are_measured() {
        use MaskKind::{Added, Hidden, Seen};
        for (kind, cell, expected) in [
            (
                Seen,
                (|row, column| f32::from(u8::from(column <= row))) as fn(i64, i64) -> f32,
                None,
            ),
            (Hidden, |row, column| f32::from(u8::from(column > row)), None),
            (
                Added,
                |row, column| if column <= row { 0.0 } else { f32::NEG_INFINITY },
                None,
            ),
            (
                Added,
                |row, column| {
                    if column <= row && column > row - 4 {
                        0.0
                    } else {
                        -65504.0
                    }
                },
                Some(4),
            ),
            (
                Seen,
                |row, column| f32::from(u8::from(column <= row && column > row - 4096)),
                Some(4096),
            ),
        ] {
            assert_eq!(found(kind, cell).unwrap(), expected, "{kind:?}");
        }
    }

    #[test]
    fn other_masks_are_refused() {
        for (cell, reason) in [
            ((|_, _| 1.0) as fn(i64, i64) -> f32, "not causal"),
            (|row, column| f32::from(u8::from(column < row)), "not causal"),
            (
                |row, column| f32::from(u8::from(column <= row && column / 4 == row / 4)),
                "not the same",
            ),
        ] {
            let refusal = found(MaskKind::Seen, cell).unwrap_err();
            assert!(refusal.contains(reason), "{refusal}");
        }
        // A bias that grows with the distance.
        let slope = |row: i64, column: i64| {
            if column <= row {
                (column - row) as f32
            } else {
                f32::NEG_INFINITY
            }
        };
        assert!(
            found(MaskKind::Added, slope)
                .unwrap_err()
                .contains("more than hide")
        );
    }
}
