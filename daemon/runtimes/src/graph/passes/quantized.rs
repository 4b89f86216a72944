//! Products with quantized matrices as the passes see them: `MatMulNBits` here, those with a book of
//! numbers in [`super::codes`], whole matrices of small integers in [`super::integer`].

use super::super::Refusal;
use super::super::edit::Graph;
use super::super::index::{Index, is_microsoft, is_standard};
use super::super::plan::{Blocks, Form, Source};
use super::super::proto::NodeProto;
use super::super::tensor::TensorRef;
use super::{codes, integer};
use crate::onnx::dtype;

const WEIGHTS: usize = 1;
const SCALES: usize = 2;
const ZERO_POINTS: usize = 3;
const GROUP_INDEX: usize = 4;
const BIAS: usize = 5;

/// Rows or columns of a matrix: the number of its bits stays below 64 bits.
pub(super) const MOST: u64 = 1 << 28;

/// A product with a quantized matrix, and the addition of a bias after it.
#[derive(Clone, Debug)]
pub(super) struct Quantized {
    /// The nodes that make it up; the last one makes the output.
    pub(super) nodes: Vec<usize>,
    pub(super) input: String,
    pub(super) output: String,
    pub(super) bias: Option<String>,
    pub(super) source: Source,
    pub(super) shape: Blocks,
    /// Of input, output, scales and bias.
    pub(super) dtype: i64,
}

impl Quantized {
    pub(super) fn last_node(&self) -> usize {
        self.nodes.last().copied().unwrap_or_default()
    }

    /// Whether both can be rows of one packed matrix.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        self.input == other.input
            && self.shape == other.shape
            && self.dtype == other.dtype
            && self.source.zero_points.is_some() == other.source.zero_points.is_some()
    }
}

/// All products in the order of the graph, and why the first one that was left was left.
pub(super) fn products(graph: &Graph, index: &Index<'_>) -> (Vec<Quantized>, Option<Refusal>) {
    let (mut found, mut left) = (Vec::new(), None);
    for (number, node) in index.nodes().iter().enumerate() {
        match product(graph, index, number, node) {
            Some(Ok(product)) => found.push(product),
            Some(Err(refusal)) => {
                left.get_or_insert(refusal);
            }
            None => {}
        }
    }
    (found, left)
}

/// The product whose output, with its bias, is this value.
pub(super) fn product_of(graph: &Graph, index: &Index<'_>, value: &str) -> Option<Quantized> {
    let (number, node) = index.producer(value)?;
    let found = if is_standard(node, "Add") {
        let mut inputs = node.input.iter().filter_map(|input| index.producer(input));
        inputs.find_map(|(number, node)| product(graph, index, number, node))
    } else {
        product(graph, index, number, node)
    };
    found?.ok().filter(|found| found.output == value)
}

/// The products that make two values which are the halves of one: gate and up in one matrix.
pub(super) fn halves_of(
    graph: &Graph,
    index: &Index<'_>,
    first: &str,
    second: &str,
) -> Option<[Quantized; 2]> {
    let (number, split) = index.producer(first)?;
    if !is_standard(split, "Split")
        || split.output.len() != 2
        || !matches!(split.integer("axis"), Some(-1 | 2))
    {
        return None;
    }
    let place = |value: &str| split.output.iter().position(|output| output == value);
    let places = [place(first)?, place(second)?];
    let joined = split.given(0)?;
    index.sole_use(joined)?;
    let whole = product_of(graph, index, joined)?;
    let rows = whole.source.rows / 2;
    let is_even = match split.given(1) {
        Some(sizes) => index.integers(sizes)? == [rows.cast_signed(); 2],
        None => true,
    };
    let is_in_rows = whole.source.form == Form::Blocks;
    if !is_even || !is_in_rows || whole.source.rows % 2 != 0 || whole.bias.is_some() || places[0] == places[1]
    {
        return None;
    }
    let half = |place: usize, output: &str| {
        let of = |tensor: &TensorRef| tensor.half(place == 1);
        let zero_points = match &whole.source.zero_points {
            Some(tensor) => Some(of(tensor)?),
            None => None,
        };
        Some(Quantized {
            nodes: whole.nodes.iter().copied().chain([number]).collect(),
            output: output.to_owned(),
            source: Source {
                weights: of(&whole.source.weights)?,
                scales: of(&whole.source.scales)?,
                zero_points,
                rows,
                form: whole.source.form,
            },
            ..whole.clone()
        })
    };
    Some([half(places[0], first)?, half(places[1], second)?])
}

/// The product that this node is the last of, but for its bias; `None` if it is none.
fn product(
    graph: &Graph,
    index: &Index<'_>,
    number: usize,
    node: &NodeProto,
) -> Option<Result<Quantized, Refusal>> {
    let found = if is_microsoft(node, "MatMulNBits") {
        of_blocks(graph, index, number, node)
    } else if is_microsoft(node, "MatMulBnb4") {
        codes::product(graph, index, number, node)
    } else {
        integer::product(graph, index, number)?
    };
    Some(found.map(|mut found| {
        absorb_bias(index, &mut found);
        found
    }))
}

fn of_blocks(
    graph: &Graph,
    index: &Index<'_>,
    number: usize,
    node: &NodeProto,
) -> Result<Quantized, Refusal> {
    let refused = |reason| Refusal::node(node, reason);
    let whole = |name| {
        let value = node.integer(name).and_then(|value| u64::try_from(value).ok());
        value.filter(|&value| value > 0)
    };
    let shape = Blocks {
        columns: whole("K").ok_or_else(|| refused("it has no attribute K"))?,
        block: whole("block_size").ok_or_else(|| refused("it has no attribute block_size"))?,
        bits: whole("bits").unwrap_or(4),
    };
    let rows = whole("N").ok_or_else(|| refused("it has no attribute N"))?;
    check_shape(shape, rows).map_err(refused)?;
    if node.given(GROUP_INDEX).is_some() {
        return Err(refused("its columns are in groups out of order"));
    }
    let constant = |place| {
        let name = node.given(place).ok_or_else(|| refused("an input is missing"))?;
        graph.reference(index, name)
    };
    let zero_points = node.given(ZERO_POINTS).map(|_| constant(ZERO_POINTS));
    let source = Source {
        weights: constant(WEIGHTS)?,
        scales: constant(SCALES)?,
        zero_points: zero_points.transpose()?,
        rows,
        form: Form::Blocks,
    };
    check_source(&source, shape).map_err(refused)?;
    let (Some(input), Some(output)) = (node.given(0), node.made(0)) else {
        return Err(refused("it has no input or no output"));
    };
    Ok(Quantized {
        nodes: vec![number],
        input: input.to_owned(),
        output: output.to_owned(),
        bias: node.given(BIAS).map(str::to_owned),
        dtype: source.scales.dtype,
        source,
        shape,
    })
}

pub(super) fn check_shape(shape: Blocks, rows: u64) -> Result<(), &'static str> {
    if !matches!(shape.bits, 4 | 8) {
        return Err("its weights have neither 4 nor 8 bits");
    }
    if !(16..=256).contains(&shape.block) || !shape.block.is_power_of_two() {
        return Err("its blocks are not of 16 to 256 columns");
    }
    if rows > MOST || shape.columns > MOST {
        return Err("it is too large");
    }
    Ok(())
}

pub(super) fn check_source(source: &Source, shape: Blocks) -> Result<(), &'static str> {
    let blocks = shape.per_row();
    let is = |tensor: &TensorRef, dtype, elements| tensor.dtype == dtype && tensor.elements() == elements;
    if !is(
        &source.weights,
        dtype::UINT8,
        source.rows * blocks * shape.block * shape.bits / 8,
    ) {
        return Err("its weights have another type or size than it says");
    }
    let is_float = matches!(
        source.scales.dtype,
        dtype::FLOAT | dtype::FLOAT16 | dtype::BFLOAT16
    );
    if !is_float || source.scales.elements() != source.rows * blocks {
        return Err("its scales have another type or size than it says");
    }
    let zero_points = source.rows * (blocks * shape.bits).div_ceil(8);
    match &source.zero_points {
        Some(tensor) if tensor.dtype != dtype::UINT8 => Err("its zero points are not whole numbers"),
        Some(tensor) if tensor.elements() != zero_points => {
            Err("its zero points have another size than it says")
        }
        Some(_) | None => Ok(()),
    }
}

/// Takes the addition of one constant number per row into the product.
fn absorb_bias(index: &Index<'_>, found: &mut Quantized) {
    let Some((number, node)) = index.sole_use(&found.output) else {
        return;
    };
    if found.bias.is_some() || !is_standard(node, "Add") {
        return;
    }
    let Some(bias) = node.input.iter().find(|input| **input != found.output) else {
        return;
    };
    let fits = index.constant(bias).is_some_and(|tensor| {
        let dimensions: Vec<u64> = tensor.dims.iter().map(|&size| size.unsigned_abs()).collect();
        dimensions == [found.source.rows] && i64::from(tensor.data_type) == found.dtype
    });
    if let (true, Some(output)) = (fits, node.made(0)) {
        found.bias = Some(bias.clone());
        found.nodes.push(number);
        output.clone_into(&mut found.output);
    }
}
