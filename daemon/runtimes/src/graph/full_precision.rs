//! Matrices that a graph keeps in full precision: what a quantizer has to do with.

use super::Refusal;
use super::edit::Graph;
use super::index::{Index, is_standard};
use super::proto::NodeProto;
use super::tensor::TensorRef;
use crate::onnx::dtype;

/// A product with a constant matrix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FullPrecision {
    /// The node, by its number in the index it was found with.
    pub(crate) node: usize,
    pub(crate) name: String,
    pub(crate) use_: Use,
    /// The matrix's initializer.
    pub(crate) tensor: String,
    pub(crate) data: TensorRef,
    /// Results of a product, N.
    pub(crate) rows: u64,
    /// Inputs of a product, K.
    pub(crate) columns: u64,
    /// How the data lies: `[rows, columns]`, or `[columns, rows]` as `MatMul` has it.
    pub(crate) is_by_rows: bool,
    /// The element type outside: differs from the data's where a `Cast` lies between.
    pub(crate) dtype: i64,
    pub(crate) input: String,
    pub(crate) output: String,
    /// One number per row, added to the result by `Gemm`.
    pub(crate) bias: Option<String>,
}

/// What a matrix is read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// `MatMul` or `Gemm`.
    Product,
    /// `Gather` of rows: a table of embeddings.
    Rows,
}

/// Every product and table of a graph whose matrix is constant, also through `Transpose`, `Cast`
/// and `Identity`.
pub(crate) fn matrices(graph: &Graph, index: &Index<'_>) -> Vec<FullPrecision> {
    let nodes = index.nodes().iter().enumerate();
    nodes
        .filter_map(|(number, node)| matrix(graph, index, number, node).ok().flatten())
        .collect()
}

fn matrix(
    graph: &Graph,
    index: &Index<'_>,
    number: usize,
    node: &NodeProto,
) -> Result<Option<FullPrecision>, Refusal> {
    let Some(read) = Read::of(node) else {
        return Ok(None);
    };
    let (Some(input), Some(matrix), Some(output)) =
        (node.given(read.input), node.given(read.matrix), node.made(0))
    else {
        return Ok(None);
    };
    let Some(stored) = stored(index, matrix) else {
        return Ok(None);
    };
    let data = graph.reference(index, stored.tensor)?;
    let is_float = matches!(data.dtype, dtype::FLOAT | dtype::FLOAT16 | dtype::BFLOAT16);
    let [first, second] = data.dimensions[..] else {
        return Ok(None);
    };
    if !is_float {
        return Ok(None);
    }
    let is_by_rows = read.is_by_rows != stored.is_turned;
    let (rows, columns) = if is_by_rows {
        (first, second)
    } else {
        (second, first)
    };
    Ok(Some(FullPrecision {
        node: number,
        name: node.name.clone(),
        use_: read.use_,
        tensor: stored.tensor.to_owned(),
        dtype: stored.dtype.unwrap_or(data.dtype),
        data,
        rows,
        columns,
        is_by_rows,
        input: input.to_owned(),
        output: output.to_owned(),
        bias: read.bias.and_then(|bias| node.given(bias)).map(str::to_owned),
    }))
}

/// How a node reads a matrix.
struct Read {
    use_: Use,
    input: usize,
    matrix: usize,
    bias: Option<usize>,
    is_by_rows: bool,
}

impl Read {
    fn of(node: &NodeProto) -> Option<Self> {
        let product = Self {
            use_: Use::Product,
            input: 0,
            matrix: 1,
            bias: None,
            is_by_rows: false,
        };
        if is_standard(node, "MatMul") {
            return Some(product);
        }
        if is_standard(node, "Gemm") {
            let is_one = |name| {
                node.float(name)
                    .is_none_or(|factor| factor.to_bits() == 1_f32.to_bits())
            };
            let is_plain = is_one("alpha") && is_one("beta") && node.integer("transA").unwrap_or(0) == 0;
            return is_plain.then(|| Self {
                bias: Some(2),
                is_by_rows: node.integer("transB").unwrap_or(0) != 0,
                ..product
            });
        }
        let is_table = is_standard(node, "Gather") && node.integer("axis").unwrap_or(0) == 0;
        is_table.then_some(Self {
            use_: Use::Rows,
            input: 1,
            matrix: 0,
            bias: None,
            is_by_rows: true,
        })
    }
}

/// Whether a value is a constant, or one that is turned or converted.
pub(crate) fn is_weight(index: &Index<'_>, value: &str) -> bool {
    stored(index, value).is_some()
}

/// The initializer behind a matrix.
struct Stored<'g> {
    tensor: &'g str,
    is_turned: bool,
    /// Where it is converted: to this type.
    dtype: Option<i64>,
}

fn stored<'g>(index: &Index<'g>, value: &'g str) -> Option<Stored<'g>> {
    let mut found = Stored {
        tensor: value,
        is_turned: false,
        dtype: None,
    };
    for _ in 0..8 {
        if index.stored(found.tensor).is_some() {
            return Some(found);
        }
        let (_, node) = index.producer(found.tensor)?;
        if is_standard(node, "Transpose") {
            let turn = node.attribute("perm").map(|perm| &perm.ints[..]);
            if !matches!(turn, None | Some([1, 0])) {
                return None;
            }
            found.is_turned = !found.is_turned;
        } else if is_standard(node, "Cast") {
            // The last conversion counts; it is met first.
            found.dtype = found.dtype.or_else(|| node.integer("to"));
        } else if !is_standard(node, "Identity") {
            return None;
        }
        found.tensor = node.given(0)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::testing::parse;
    use super::*;

    fn found(body: &str) -> Vec<FullPrecision> {
        let graph = parse(&format!(
            "input x f32[1,T,32]
            input ids i64[1,T]
            output y f32[1,T,64]
            constant w f32[32,64]
            constant t f32[64,32]
            constant h f16[64,32]
            constant b f32[64]
            constant u u8[32,64]
            {body}"
        ));
        matrices(&graph, &graph.index())
    }

    #[test]
    fn products_and_tables_are_found_through_what_lies_between() {
        for (body, tensor, is_by_rows, bias) in [
            ("y = MatMul(x, w)", "w", false, None),
            ("a = Transpose(t) {perm=[1,0]}\ny = MatMul(x, a)", "t", true, None),
            (
                "c = Cast(h) {to=1}\na = Transpose(c) {perm=[1,0]}\ny = MatMul(x, a)",
                "h",
                true,
                None,
            ),
            ("i = Identity(w)\ny = MatMul(x, i)", "w", false, None),
            ("y = Gemm(x, t, b) {transB=1, alpha=1.0}", "t", true, Some("b")),
        ] {
            let [matrix] = &found(body)[..] else {
                panic!("{body}")
            };
            assert_eq!((matrix.rows, matrix.columns), (64, 32), "{body}");
            assert_eq!(
                (matrix.tensor.as_str(), matrix.is_by_rows),
                (tensor, is_by_rows),
                "{body}"
            );
            assert_eq!(
                (matrix.bias.as_deref(), matrix.dtype),
                (bias, dtype::FLOAT),
                "{body}"
            );
            assert_eq!(matrix.use_, Use::Product);
        }
        let [table] = &found("y = Gather(t, ids)")[..] else {
            panic!("no table")
        };
        assert_eq!(
            (table.use_, table.rows, table.input.as_str()),
            (Use::Rows, 64, "ids")
        );
    }

    #[test]
    fn other_products_are_not() {
        for body in [
            "y = MatMul(x, x)",
            "y = MatMul(x, u)",
            "y = MatMul(x, b)",
            "y = Gemm(x, w) {alpha=0.5}",
            "y = Gather(t, ids) {axis=1}",
            "a = Transpose(t) {perm=[0,1]}\ny = MatMul(x, a)",
        ] {
            assert_eq!(found(body), [], "{body}");
        }
    }
}
