//! `GatherBlockQuantized`, or `DequantizeLinear` of a `Gather` with one scale for the whole table
//! -> `QuantizedRows`: input ids (int64); attributes `weights`, `rows` and `columns`. A table whose
//! bytes are those of the head shares its packed form.

use super::super::edit::{Build, Edits, Graph, narrowed};
use super::super::index::{Index, is_microsoft, is_standard};
use super::super::plan::{Arrangement, Blocks, Form, Plan, Source};
use super::super::proto::NodeProto;
use super::super::{Changed, Refusal};
use super::integer;
use super::quantized::{MOST, check_source};
use crate::onnx::dtype;

const TABLE: usize = 0;
const IDS: usize = 1;
const SCALES: usize = 2;
const ZERO_POINTS: usize = 3;

struct Table {
    nodes: Vec<usize>,
    ids: String,
    output: String,
    source: Source,
    shape: Blocks,
}

pub(in super::super) fn embedding(graph: &mut Graph, plan: &mut Plan) -> Result<Changed, Refusal> {
    let (mut found, mut left) = (Vec::new(), None);
    {
        let index = graph.index();
        for (number, node) in index.nodes().iter().enumerate() {
            let table = if is_microsoft(node, "GatherBlockQuantized") {
                Some(table(graph, &index, number, node))
            } else {
                of_bytes(graph, &index, number, node)
            };
            match table {
                Some(Ok(table)) => found.push(table),
                Some(Err(refusal)) => {
                    left.get_or_insert(refusal);
                }
                None => {}
            }
        }
    }
    if let (true, Some(refusal)) = (found.is_empty(), left) {
        return Err(refusal);
    }
    let mut edits = Edits::default();
    for table in &found {
        replace(graph, plan, &mut edits, table);
    }
    graph.apply(edits);
    Changed::some(found.len())
}

fn table(graph: &Graph, index: &Index<'_>, number: usize, node: &NodeProto) -> Result<Table, Refusal> {
    let refused = |reason| Refusal::node(node, reason);
    let (Some(table), Some(ids), Some(scales)) = (node.given(TABLE), node.given(IDS), node.given(SCALES))
    else {
        return Err(refused("an input is missing"));
    };
    // The axis of the blocks may be written from the end.
    let axes = (
        node.integer("gather_axis").unwrap_or(0),
        node.integer("quantize_axis").unwrap_or(1),
    );
    if !matches!(axes, (0, 1 | -1)) {
        return Err(refused("its rows are not the rows of the table"));
    }
    let reference = |name| graph.reference(index, name);
    let zero_points = node.given(ZERO_POINTS).map(reference).transpose()?;
    let (weights, scales) = (reference(through_reshape(index, table))?, reference(scales)?);
    let bits = node.integer("bits").unwrap_or(4).cast_unsigned();
    let block = node.integer("block_size").unwrap_or(128).cast_unsigned();
    if !matches!(bits, 4 | 8) || !(16..=256).contains(&block) || !block.is_power_of_two() {
        return Err(refused("its blocks are not of 16 to 256 columns of 4 or 8 bits"));
    }
    let rows = weights.dimensions.first().copied().unwrap_or(0);
    let packed = weights.elements().checked_div(rows).unwrap_or(0);
    let shape = Blocks {
        columns: packed.saturating_mul(8) / bits,
        block,
        bits,
    };
    // A last block that is cut short is filled up in a matrix, but not in a table.
    if shape.columns == 0 || !shape.columns.is_multiple_of(block) || rows > MOST || shape.columns > MOST {
        return Err(refused("its rows are not whole blocks"));
    }
    let source = Source {
        weights,
        scales,
        zero_points,
        rows,
        form: Form::Blocks,
    };
    check_source(&source, shape).map_err(refused)?;
    Ok(Table {
        nodes: vec![number],
        ids: ids.to_owned(),
        output: node
            .made(0)
            .ok_or_else(|| refused("it has no output"))?
            .to_owned(),
        source,
        shape,
    })
}

/// `DequantizeLinear(Gather(table, ids))`; `None` if it is something else.
fn of_bytes(
    graph: &Graph,
    index: &Index<'_>,
    number: usize,
    node: &NodeProto,
) -> Option<Result<Table, Refusal>> {
    if !is_standard(node, "DequantizeLinear") {
        return None;
    }
    let (gather_number, gather) = index.producer(node.given(0)?)?;
    let takes_rows = is_standard(gather, "Gather") && gather.integer("axis").unwrap_or(0) == 0;
    let matrix = integer::Matrix {
        weights: gather.given(TABLE)?,
        scale: node.given(1)?,
        zero_point: node.given(2),
        form: Form::Rows { block: 0 },
    };
    let is_one = |name| {
        index
            .constant(name)
            .map(|tensor| tensor.dims.iter().product::<i64>() == 1)
    };
    let has_one_scale =
        is_one(matrix.scale)? && matrix.zero_point.is_none_or(|name| is_one(name) == Some(true));
    index.constant(matrix.weights)?;
    if !takes_rows || !has_one_scale || index.sole_use(node.given(0)?).is_none() {
        return None;
    }
    let (ids, output) = (gather.given(IDS)?.to_owned(), node.made(0)?.to_owned());
    Some(
        integer::source(graph, index, node, &matrix).map(|(source, shape)| Table {
            nodes: vec![gather_number, number],
            ids,
            output,
            source,
            shape,
        }),
    )
}

/// Tied weights are written as they are for the head, and flattened for the table.
fn through_reshape<'g>(index: &Index<'g>, value: &'g str) -> &'g str {
    let reshape = index
        .producer(value)
        .filter(|(_, node)| is_standard(node, "Reshape"));
    let Some((data, shape)) = reshape.and_then(|(_, node)| Some((node.given(0)?, node.given(1)?))) else {
        return value;
    };
    let rows = index.constant(data).and_then(|tensor| tensor.dims.first());
    let keeps_rows = index
        .integers(shape)
        .is_some_and(|shape| shape.len() == 2 && (shape.first() == rows || shape.first() == Some(&0)));
    if keeps_rows { data } else { value }
}

fn replace(graph: &mut Graph, plan: &mut Plan, edits: &mut Edits, table: &Table) {
    let Some(&last) = table.nodes.last() else { return };
    let key = plan.pack(Arrangement::Stacked, vec![table.source.clone()], table.shape);
    let (output, cast) = narrowed(graph, &table.output, table.source.scales.dtype);
    let ids = if graph.dtype_of(&table.ids) == dtype::INT64 {
        table.ids.clone()
    } else {
        let long = graph.fresh(&table.ids);
        edits.put_before(last, [Build::cast(&table.ids, &long, dtype::INT64)]);
        long
    };
    let node = Build::ours("QuantizedRows")
        .input(&ids)
        .text("weights", &key)
        .integer("rows", table.source.rows.cast_signed())
        .integer("columns", table.shape.columns.cast_signed())
        .output(&output);
    edits.remove(table.nodes.iter().copied());
    edits.put_before(last, [Some(node), cast].into_iter().flatten());
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{after, parse, refused, text};
    use super::super::matmul;
    use super::*;

    const TIED: &str = "
        input ids i64[1,T]
        output y f32[1,T,32]
        constant w u8[32,2,8]
        constant s f32[32,2]
        integers flat 32 16
        r = Reshape(w, flat)
        e = ms.GatherBlockQuantized(r, ids, s) {gather_axis=0, quantize_axis=1, block_size=16, bits=4}
        y = ms.MatMulNBits(e, w, s) {K=32, N=32, bits=4, block_size=16}";

    #[test]
    fn a_table_shares_the_matrix_of_the_head() {
        let mut graph = parse(TIED);
        let mut plan = Plan::default();
        matmul(&mut graph, &mut plan).unwrap();
        embedding(&mut graph, &mut plan).unwrap();
        assert_eq!(
            text(&graph),
            "e = airunner.QuantizedRows(ids) {weights=\"matrix.0\", rows=32, columns=32}
y = airunner.QuantizedMatMul(e) {weights=\"matrix.0\", rows=32, columns=32}"
        );
        assert_eq!(plan.packs.len(), 1);
        assert!(graph.proto().initializer.is_empty());
    }

    #[test]
    fn a_table_of_half_floats_is_converted_after_it() {
        let before = TIED.replace("f32[32,2]", "f16[32,2]").replace(
            "ms.MatMulNBits(e, w, s) {K=32, N=32, bits=4, block_size=16}",
            "Neg(e)",
        );
        assert_eq!(
            after(&before, embedding),
            "airunner/e = airunner.QuantizedRows(ids) {weights=\"matrix.0\", rows=32, columns=32}
e = Cast(airunner/e) {to=10}
y = Neg(e)"
        );
    }

    #[test]
    fn short_ids_are_made_long() {
        let before = TIED.replace("i64[1,T]", "i32[1,T]");
        let text = after(&before, embedding);
        assert!(text.contains("airunner/ids = Cast(ids) {to=7}"), "{text}");
        assert!(text.contains("QuantizedRows(airunner/ids)"), "{text}");
    }

    #[test]
    fn other_tables_are_left() {
        for (from, to, reason) in [
            ("gather_axis=0", "gather_axis=1", "not the rows"),
            ("block_size=16", "block_size=128", "whole blocks"),
            ("bits=4}\n        y", "bits=2}\n        y", "4 or 8 bits"),
            ("f32[32,2]", "f32[32,3]", "scales have another"),
            ("integers flat 32 16", "integers flat 16 32", "not a constant"),
        ] {
            let refusal = refused(&TIED.replace(from, to), embedding);
            assert!(refusal.contains(reason), "{from}: {refusal}");
        }
    }
}
