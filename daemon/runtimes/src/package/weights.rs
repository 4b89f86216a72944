//! What weights take in memory, told from the operators that read them.
//!
//! ONNX Runtime packs what it multiplies with into a form of its own and drops the original, one
//! tensor after the other. Measured with version 1.31.1 on x86-64; `MatMulNBits` follows
//! `QNBitGemmPackQuantBDataSize` of its MLAS library.

use std::collections::{HashMap, HashSet};

use airunner_core::memory::Quantization;

use crate::onnx::dtype;
use crate::onnx::parts::{Initializer, Kind, Node, Parts};

/// Panels of packed 32-bit weights have so many columns.
const PANEL: u64 = 16;
/// Bytes of a 32-bit number.
const FLOAT_BYTES: u64 = 4;
/// Different tokens that a long conversation has, roughly.
const DISTINCT_TOKENS: u64 = 1024;
/// What one touched row of a mapped file takes at least.
const PAGE: u64 = 4096;
/// Blocks of few bits that carry their scales in the packed form from this level on.
const INTEGER_ACCURACY: u64 = 4;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Weights {
    /// Once all is loaded.
    pub(super) bytes: u64,
    /// The most beyond that on the way.
    pub(super) loading_bytes: u64,
    /// Of most weights; `None` if nothing is multiplied.
    pub(super) level: Option<Quantization>,
    /// Every multiplication with weights, as (rows read, columns made).
    pub(super) shapes: Vec<(u64, u64)>,
    /// Half precision, which is computed in full.
    pub(super) is_half: bool,
    /// The largest that is unpacked for every run, bytes.
    pub(super) unpacked_bytes: u64,
    /// What every step reads, bytes.
    pub(super) step_bytes: u64,
}

/// How many weights there are: those that are multiplied with, and tables that are only read.
/// `None` if there are none.
pub(super) fn parameters(parts: &Parts<'_>) -> Option<u64> {
    let aliases = aliases(parts);
    let mut counted: HashMap<&str, u64> = HashMap::new();
    for (kind, node) in &parts.nodes {
        if let Some((found, packing)) = multiplication(parts, &aliases, *kind, node) {
            let name = packing.map_or(node.inputs[1], |packing| packing.name);
            counted.insert(name, found.rows.saturating_mul(found.columns));
        }
    }
    for (_, node) in parts.nodes.iter().filter(|(kind, _)| *kind == Kind::Gather) {
        if let Some(table) = parts.initializers.get(node.inputs[0]) {
            counted.entry(node.inputs[0]).or_insert(table.elements);
        }
    }
    let all = counted.into_values().fold(0_u64, u64::saturating_add);
    (all > 0).then_some(all)
}

/// One use of a weight in a multiplication.
struct Packing<'m> {
    name: &'m str,
    /// As it was before, in memory or mapped.
    raw: u64,
    packed: u64,
    is_mapped: bool,
}

pub(super) fn weigh(parts: &Parts<'_>) -> Weights {
    let mut weights = Weights::default();
    let (mut packings, mut levels) = (Vec::new(), Vec::new());
    let aliases = aliases(parts);
    for (kind, node) in &parts.nodes {
        let Some((found, packing)) = multiplication(parts, &aliases, *kind, node) else {
            continue;
        };
        weights.shapes.push((found.rows, found.columns));
        levels.push(found.level);
        if found.unpacks {
            let bytes = found
                .rows
                .saturating_mul(found.columns)
                .saturating_mul(FLOAT_BYTES);
            weights.unpacked_bytes = weights.unpacked_bytes.max(bytes);
        }
        packings.extend(packing);
    }
    weights.step_bytes = step(parts, &aliases);
    weights.level = prevailing(&weights.shapes, &levels);
    weights.is_half = matches!(
        weights.level,
        Some(Quantization::Float16 | Quantization::BFloat16)
    );
    let (packed, peak) = pack(&packings);
    let kept = kept(parts, &packings);
    weights.bytes = packed.saturating_add(kept);
    weights.loading_bytes = peak
        .saturating_add(kept)
        .max(read(parts))
        .saturating_sub(weights.bytes);
    weights
}

/// What is multiplied with, each weight once, as it is computed with before anything is packed.
fn step<'m>(parts: &Parts<'m>, aliases: &HashMap<&'m str, (&'m str, bool)>) -> u64 {
    let mut read: HashMap<&str, u64> = HashMap::new();
    for (kind, node) in &parts.nodes {
        let Some((_, packing)) = multiplication(parts, aliases, *kind, node) else {
            continue;
        };
        if let Some(packing) = packing {
            read.insert(packing.name, packing.raw);
        }
        if *kind == Kind::MatMulNBits {
            let named = node.inputs[1..=3].iter();
            for (name, tensor) in named.filter_map(|name| parts.initializers.get_key_value(name)) {
                read.insert(name, tensor.bytes);
            }
        }
    }
    read.into_values().fold(0, u64::saturating_add)
}

/// The precision of most weights. The last layer, which is as wide as the vocabulary, often keeps
/// a higher one and does not count where there are others.
fn prevailing(shapes: &[(u64, u64)], levels: &[Quantization]) -> Option<Quantization> {
    let widest = shapes.iter().map(|shape| shape.1).max()?;
    let has_others = shapes.iter().any(|shape| shape.1 != widest);
    let mut counts = [0_u64; Quantization::ALL.len()];
    for (&(rows, columns), level) in shapes.iter().zip(levels) {
        if has_others && columns == widest {
            continue;
        }
        for (count, _) in counts
            .iter_mut()
            .zip(Quantization::ALL)
            .filter(|(_, known)| known == level)
        {
            *count = count.saturating_add(rows.saturating_mul(columns));
        }
    }
    let most = counts
        .iter()
        .zip(Quantization::ALL)
        .max_by_key(|(count, _)| **count);
    most.filter(|(count, _)| **count > 0).map(|(_, level)| level)
}

/// Weights that reach a multiplication in another form, which is computed once and kept; and
/// whether rows and columns are exchanged in it.
fn aliases<'m>(parts: &Parts<'m>) -> HashMap<&'m str, (&'m str, bool)> {
    let mut aliases = HashMap::new();
    for (kind, node) in &parts.nodes {
        let (Kind::Reshaping { is_turned }, Some(output)) = (kind, node.output) else {
            continue;
        };
        let input = node.inputs[0];
        let (source, was_turned) = aliases.get(input).copied().unwrap_or((input, false));
        if parts.initializers.contains_key(source) {
            aliases.insert(output, (source, was_turned != *is_turned));
        }
    }
    aliases
}

struct Multiplication {
    level: Quantization,
    rows: u64,
    columns: u64,
    /// There is no kernel for the packed form: every run computes the plain one.
    unpacks: bool,
}

fn multiplication<'m>(
    parts: &Parts<'m>,
    aliases: &HashMap<&'m str, (&'m str, bool)>,
    kind: Kind,
    node: &Node<'m>,
) -> Option<(Multiplication, Option<Packing<'m>>)> {
    let place = match kind {
        Kind::MatMul | Kind::MatMulNBits => 1,
        Kind::MatMulInteger(place) => place,
        Kind::Gather | Kind::Reshaping { .. } | Kind::GroupQueryAttention => return None,
    };
    let name = node.inputs.get(place).copied()?;
    let (name, is_folded, is_turned) = match aliases.get(name) {
        Some(&(source, is_turned)) => (source, true, is_turned),
        None => (name, false, false),
    };
    let weight = parts.initializers.get(name)?;
    if kind == Kind::MatMulNBits {
        return Some(blocks(name, weight, node));
    }
    let inner = weight.last_two[1].max(1);
    let outer = weight.elements / inner;
    let (rows, columns) = if is_turned == node.numbers.is_turned {
        (outer, inner)
    } else {
        (inner, outer)
    };
    let level = level_of(weight.dtype)?;
    let is_float = !matches!(kind, Kind::MatMulInteger(_));
    if is_float
        && matches!(
            weight.dtype,
            dtype::UINT8 | dtype::INT8 | dtype::UINT4 | dtype::INT4
        )
    {
        return Some(dequantized(name, weight, level, [rows, columns]));
    }
    // Other precisions are converted to 32 bits first, in memory.
    let is_converted = is_float && (weight.dtype != dtype::FLOAT || is_folded);
    let (raw, packed) = if is_float {
        let panels = columns.div_ceil(PANEL).saturating_mul(PANEL);
        let packed = rows.saturating_mul(panels).saturating_mul(FLOAT_BYTES);
        let plain = weight.elements.saturating_mul(FLOAT_BYTES);
        (if is_converted { plain } else { weight.bytes }, packed)
    } else {
        let sums = columns.saturating_mul(FLOAT_BYTES);
        (weight.bytes, weight.bytes.saturating_add(sums))
    };
    let packing = Packing {
        name,
        raw,
        packed,
        is_mapped: weight.is_external && !is_converted,
    };
    let found = Multiplication {
        level,
        rows,
        columns,
        unpacks: false,
    };
    Some((found, Some(packing)))
}

fn blocks<'m>(name: &'m str, weight: &Initializer, node: &Node<'m>) -> (Multiplication, Option<Packing<'m>>) {
    let numbers = &node.numbers;
    let bits = if numbers.bits == 0 { 4 } else { numbers.bits };
    let (rows, columns) = (numbers.columns, numbers.rows);
    let level = match bits {
        0..=2 => Quantization::Int2,
        3..=4 => Quantization::Int4,
        _ => Quantization::Int8,
    };
    let is_integer = numbers.accuracy_level >= INTEGER_ACCURACY;
    let unpacks = level != Quantization::Int4 && !is_integer;
    let found = Multiplication {
        level,
        rows,
        columns,
        unpacks,
    };
    if unpacks {
        return (found, None);
    }
    let count = rows.div_ceil(numbers.block.max(1));
    let numbers_beside = if is_integer {
        let scales = columns.saturating_mul(count);
        let sums = columns
            .div_ceil(PANEL)
            .saturating_mul(PANEL)
            .saturating_mul(count);
        scales.saturating_add(sums).saturating_mul(FLOAT_BYTES)
    } else {
        0
    };
    let packing = Packing {
        name,
        raw: weight.bytes,
        packed: weight.bytes.saturating_add(numbers_beside),
        is_mapped: weight.is_external,
    };
    (found, Some(packing))
}

/// Out of `DequantizeLinear`: half bytes become blocks of few bits, bytes are converted at every run.
fn dequantized<'m>(
    name: &'m str,
    weight: &Initializer,
    level: Quantization,
    [rows, columns]: [u64; 2],
) -> (Multiplication, Option<Packing<'m>>) {
    let unpacks = level == Quantization::Int8;
    let found = Multiplication {
        level,
        rows,
        columns,
        unpacks,
    };
    let packing = Packing {
        name,
        raw: weight.bytes,
        packed: weight.bytes,
        is_mapped: weight.is_external,
    };
    (found, (!unpacks).then_some(packing))
}

fn level_of(element: i64) -> Option<Quantization> {
    match element {
        dtype::FLOAT => Some(Quantization::None),
        dtype::FLOAT16 => Some(Quantization::Float16),
        dtype::BFLOAT16 => Some(Quantization::BFloat16),
        dtype::UINT8 | dtype::INT8 => Some(Quantization::Int8),
        dtype::UINT4 | dtype::INT4 => Some(Quantization::Int4),
        dtype::UINT2 | dtype::INT2 => Some(Quantization::Int2),
        _ => None,
    }
}

/// What all take once they are packed, and the most on the way there.
fn pack(packings: &[Packing<'_>]) -> (u64, u64) {
    let in_memory = packings.iter().filter(|packing| !packing.is_mapped);
    let mut now = in_memory.fold(0_u64, |sum, packing| sum.saturating_add(packing.raw));
    let mut peak = now;
    let mut packed = 0_u64;
    for packing in packings {
        packed = packed.saturating_add(packing.packed);
        now = now.saturating_add(packing.packed);
        peak = peak.max(if packing.is_mapped {
            now.saturating_add(packing.raw)
        } else {
            now
        });
        if !packing.is_mapped {
            now = now.saturating_sub(packing.raw);
        }
    }
    (packed, peak)
}

/// The graph file as it is read, tensor by tensor copied out of it.
fn read(parts: &Parts<'_>) -> u64 {
    let inside = || parts.initializers.values().filter(|weight| !weight.is_external);
    let all = inside().fold(parts.unnamed_bytes, |sum, weight| {
        sum.saturating_add(weight.bytes)
    });
    all.saturating_add(inside().map(|weight| weight.bytes).max().unwrap_or(0))
}

/// What stays as it is.
fn kept(parts: &Parts<'_>, packings: &[Packing<'_>]) -> u64 {
    let names = |wanted: Kind, places: &[usize]| -> HashSet<&str> {
        let nodes = parts.nodes.iter().filter(|(kind, _)| *kind == wanted);
        nodes
            .flat_map(|(_, node)| places.iter().map(|&place| node.inputs[place]))
            .filter(|name| !name.is_empty())
            .collect()
    };
    let packed: HashSet<&str> = packings.iter().map(|packing| packing.name).collect();
    let scales = names(Kind::MatMulNBits, &[2, 3]);
    // The table, and the scales and zeros of one in blocks.
    let gathered = names(Kind::Gather, &[0, 2, 3]);
    let kept = parts.initializers.iter().map(|(name, weight)| {
        match (gathered.contains(name), packed.contains(name)) {
            (false, true) => 0,
            // What was packed has been read from one end to the other.
            (true, false) if !scales.contains(name) => looked_up(weight),
            (true | false, _) => weight.bytes,
        }
    });
    kept.fold(parts.unnamed_bytes, u64::saturating_add)
}

/// Of a mapped table only the rows that are looked up come into memory.
fn looked_up(table: &Initializer) -> u64 {
    if !table.is_external {
        return table.bytes;
    }
    let rows = table.elements / table.last_two[1].max(1);
    let row = table.bytes.checked_div(rows).unwrap_or(table.bytes);
    let pages = row.div_ceil(PAGE).saturating_mul(PAGE);
    table.bytes.min(pages.saturating_mul(DISTINCT_TOKENS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(dtype: i64, rows: u64, columns: u64, is_external: bool) -> Initializer {
        let elements = rows * columns;
        Initializer {
            dtype,
            elements,
            last_two: [rows, columns],
            bytes: dtype::bytes(dtype, elements).unwrap(),
            is_external,
        }
    }

    fn reads<'m>(kind: Kind, inputs: &[&'m str], output: &'m str) -> (Kind, Node<'m>) {
        let mut node = Node::default();
        inputs.iter().for_each(|input| node.input(input));
        node.output(output);
        (kind, node)
    }

    fn parts<'m>(weights: Vec<(&'m str, Initializer)>, nodes: Vec<(Kind, Node<'m>)>) -> Parts<'m> {
        Parts {
            initializers: weights.into_iter().collect(),
            nodes,
            unnamed_bytes: 0,
        }
    }

    #[test]
    fn mapped_weights_are_packed_one_after_the_other() {
        let weighed = weigh(&parts(
            vec![("a", weight(1, 8, 10, true)), ("b", weight(1, 100, 16, true))],
            vec![
                reads(Kind::MatMul, &["x", "a"], "y"),
                reads(Kind::MatMul, &["y", "b"], "z"),
            ],
        ));
        // Columns are filled up to a panel.
        assert_eq!(weighed.bytes, 8 * 16 * 4 + 100 * 16 * 4);
        assert_eq!(weighed.loading_bytes, 100 * 16 * 4);
        assert_eq!(weighed.level, Some(Quantization::None));
    }

    #[test]
    fn a_step_reads_every_weight_once_and_no_table() {
        let mut blocks = reads(Kind::MatMulNBits, &["y", "w", "s"], "z");
        (blocks.1.numbers.rows, blocks.1.numbers.columns) = (32, 128);
        let weighed = weigh(&parts(
            vec![
                ("table", weight(1, 1000, 8, true)),
                ("a", weight(1, 8, 10, true)),
                ("w", weight(2, 32, 64, true)),
                ("s", weight(1, 32, 4, true)),
            ],
            vec![
                reads(Kind::Gather, &["table", "ids"], "x"),
                reads(Kind::MatMul, &["x", "a"], "y"),
                reads(Kind::MatMul, &["y", "a"], "y2"),
                blocks,
            ],
        ));
        assert_eq!(weighed.step_bytes, 8 * 10 * 4 + 32 * 64 + 32 * 4 * 4);
    }

    #[test]
    fn weights_out_of_dequantize_linear_stay_small() {
        let dequantized = Kind::Reshaping { is_turned: false };
        for (kind, level, unpacked) in [(22, Quantization::Int4, 0), (3, Quantization::Int8, 64 * 32 * 4)] {
            let weighed = weigh(&parts(
                vec![("w", weight(kind, 64, 32, true)), ("s", weight(1, 2, 32, true))],
                vec![
                    reads(dequantized, &["w", "s"], "k"),
                    reads(Kind::MatMul, &["x", "k"], "y"),
                ],
            ));
            assert_eq!(weighed.level, Some(level));
            assert_eq!(weighed.shapes, [(64, 32)]);
            assert_eq!(weighed.unpacked_bytes, unpacked);
            let bytes = dtype::bytes(kind, 64 * 32).unwrap() + 2 * 32 * 4;
            assert_eq!(weighed.bytes, bytes, "weights and scales as they are");
        }
    }

    #[test]
    fn half_precision_is_computed_in_full() {
        let weighed = weigh(&parts(
            vec![("a", weight(10, 32, 16, true))],
            vec![reads(Kind::MatMul, &["x", "a"], "y")],
        ));
        assert_eq!((weighed.bytes, weighed.loading_bytes), (32 * 16 * 4, 32 * 16 * 4));
        assert_eq!(
            (weighed.level, weighed.is_half),
            (Some(Quantization::Float16), true)
        );
    }

    #[test]
    fn blocks_carry_scales_and_sums_at_the_integer_level_only() {
        for (accuracy_level, beside) in [(0, 0), (4, 2 * 32 * 4 * 4)] {
            let mut node = reads(Kind::MatMulNBits, &["x", "w", "s"], "y");
            node.1.numbers.rows = 32;
            node.1.numbers.columns = 128;
            (node.1.numbers.bits, node.1.numbers.block) = (4, 32);
            node.1.numbers.accuracy_level = accuracy_level;
            let packed = 32 * 128 / 2;
            let weighed = weigh(&parts(
                vec![("w", weight(2, 32, 64, true)), ("s", weight(1, 32, 4, true))],
                vec![node],
            ));
            assert_eq!(weighed.bytes, packed + beside + 32 * 4 * 4, "{accuracy_level}");
            assert_eq!(weighed.level, Some(Quantization::Int4));
            assert_eq!(weighed.shapes, [(128, 32)]);
        }
    }

    #[test]
    fn of_a_mapped_table_only_rows_are_read_unless_it_is_packed_too() {
        let table = weight(1, 100_000, 16, true);
        let looked_up = reads(Kind::Gather, &["t", "ids"], "x");
        let alone = weigh(&parts(vec![("t", table)], vec![looked_up]));
        assert_eq!(alone.bytes, DISTINCT_TOKENS * PAGE);
        let tied = weigh(&parts(
            vec![("t", table)],
            vec![
                looked_up,
                reads(Kind::Reshaping { is_turned: true }, &["t"], "turned"),
                reads(Kind::MatMul, &["x", "turned"], "logits"),
            ],
        ));
        assert!(tied.bytes >= 2 * table.bytes, "{tied:?}");
        assert_eq!(tied.shapes, [(16, 100_000)]);
        let nodes = || vec![looked_up, reads(Kind::MatMul, &["x", "w"], "logits")];
        let untied = parts(vec![("t", table), ("w", weight(1, 16, 100, true))], nodes());
        assert_eq!(parameters(&untied), Some(1_600_000 + 1600));
        assert_eq!(parameters(&parts(Vec::new(), nodes())), None);
        let inside = Initializer {
            is_external: false,
            ..table
        };
        assert_eq!(
            weigh(&parts(vec![("t", inside)], vec![looked_up])).bytes,
            table.bytes
        );
    }

    #[test]
    fn the_layer_as_wide_as_the_vocabulary_does_not_decide_the_level() {
        let weighed = weigh(&parts(
            vec![("a", weight(3, 8, 8, false)), ("head", weight(1, 8, 1000, false))],
            vec![
                reads(Kind::MatMulInteger(1), &["x", "a"], "y"),
                reads(Kind::MatMul, &["y", "head"], "logits"),
            ],
        ));
        assert_eq!(weighed.level, Some(Quantization::Int8));
    }

    #[test]
    fn impossible_sizes_end_at_the_largest_number() {
        let huge = Initializer {
            dtype: 1,
            elements: u64::MAX,
            last_two: [1, u64::MAX],
            bytes: u64::MAX,
            is_external: false,
        };
        let mut node = reads(Kind::MatMulNBits, &["x", "w"], "y");
        (node.1.numbers.rows, node.1.numbers.columns) = (u64::MAX, u64::MAX);
        node.1.numbers.accuracy_level = 4;
        let weighed = weigh(&parts(
            vec![("w", huge), ("v", huge)],
            vec![node, reads(Kind::MatMul, &["x", "v"], "z")],
        ));
        assert_eq!(weighed.bytes, u64::MAX);
    }
}
