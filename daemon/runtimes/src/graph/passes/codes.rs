//! `MatMulBnb4`: weights that name numbers of a book. Our kernels know evenly spaced numbers only;
//! with 8 bits these are the book's to within a 254th of the greatest number of a block, while
//! neighbours in a book are ten times as far apart and more, the two least of `FP4` alone excepted.

use super::super::Refusal;
use super::super::edit::Graph;
use super::super::index::Index;
use super::super::plan::{Blocks, CodeBook, Form, Source};
use super::super::proto::NodeProto;
use super::quantized::{Quantized, check_shape};
use crate::onnx::dtype;

pub(super) fn product(
    graph: &Graph,
    index: &Index<'_>,
    number: usize,
    node: &NodeProto,
) -> Result<Quantized, Refusal> {
    let refused = |reason| Refusal::node(node, reason);
    let whole = |name| {
        let value = node.integer(name).and_then(|value| u64::try_from(value).ok());
        value
            .filter(|&value| value > 0)
            .ok_or_else(|| refused("it does not say its size"))
    };
    let rows = whole("N")?;
    let shape = Blocks {
        columns: whole("K")?,
        block: whole("block_size")?,
        bits: 8,
    };
    check_shape(shape, rows).map_err(refused)?;
    // Blocks are cut from all rows behind each other.
    if !shape.columns.is_multiple_of(shape.block) {
        return Err(refused("its blocks are no parts of its rows"));
    }
    let book = match node.integer("quant_type") {
        Some(0) => CodeBook::Fp4,
        Some(1) => CodeBook::Nf4,
        _ => return Err(refused("its numbers are of no book that is known")),
    };
    if node.integer("transB").unwrap_or(1) != 1 {
        return Err(refused("its weights lie the other way round"));
    }
    let (Some(input), Some(weights), Some(scales), Some(output)) =
        (node.given(0), node.given(1), node.given(2), node.made(0))
    else {
        return Err(refused("an input or its output is missing"));
    };
    let source = Source {
        weights: graph.reference(index, weights)?,
        scales: graph.reference(index, scales)?,
        zero_points: None,
        rows,
        form: Form::Codes(book),
    };
    check(&source, shape).map_err(refused)?;
    Ok(Quantized {
        nodes: vec![number],
        input: input.to_owned(),
        output: output.to_owned(),
        bias: None,
        dtype: source.scales.dtype,
        source,
        shape,
    })
}

fn check(source: &Source, shape: Blocks) -> Result<(), &'static str> {
    let weights = &source.weights;
    if weights.dtype != dtype::UINT8 || weights.elements() != source.rows * shape.columns / 2 {
        return Err("its weights have another type or size than it says");
    }
    let scales = &source.scales;
    let is_float = matches!(scales.dtype, dtype::FLOAT | dtype::FLOAT16 | dtype::BFLOAT16);
    if !is_float || scales.elements() != source.rows * shape.per_row() {
        return Err("its scales have another type or size than it says");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{after, plan_after, refused};
    use super::super::matmul::matmul;
    use super::*;

    const PRODUCT: &str = "
        input x f32[1,T,64]
        output y f32[1,T,16]
        constant w u8[512]
        constant s f32[32]
        constant i i32[32]
        y = ms.MatMulBnb4(x, w, s) {K=64, N=16, block_size=32, quant_type=1}";

    #[test]
    fn a_book_of_numbers_becomes_a_matrix_of_bytes() {
        assert_eq!(
            after(PRODUCT, matmul),
            "y = airunner.QuantizedMatMul(x) {weights=\"matrix.0\", rows=16, columns=64}"
        );
        let task = &plan_after(PRODUCT, matmul).packs[0];
        assert_eq!((task.block, task.bits), (32, 8));
        assert_eq!(task.sources[0].form, Form::Codes(CodeBook::Nf4));
    }

    #[test]
    fn what_disagrees_is_left() {
        for (from, to, reason) in [
            ("quant_type=1", "quant_type=2", "no book"),
            (", quant_type=1", "", "no book"),
            ("K=64, ", "", "its size"),
            ("K=64", "K=96", "weights have another"),
            ("K=64", "K=80", "no parts of its rows"),
            ("N=16", "N=17", "weights have another"),
            ("block_size=32", "block_size=24", "16 to 256"),
            ("block_size=32", "block_size=64", "scales have another"),
            ("(x, w, s)", "(x, w, i)", "scales have another"),
            ("(x, w, s)", "(x, s, s)", "weights have another"),
            ("(x, w, s)", "(x, x, s)", "not a constant"),
            ("quant_type=1", "quant_type=1, transB=0", "other way round"),
        ] {
            let refusal = refused(&PRODUCT.replace(from, to), matmul);
            assert!(refusal.contains(reason), "{to}: {refusal}");
        }
    }

    #[test]
    fn books_are_those_of_the_library_to_within_the_rounding_of_a_byte() {
        let normal = [
            -1.0,
            -0.696_192_8,
            -0.525_073_05,
            -0.394_917_5,
            -0.284_441_38,
            -0.184_773_43,
            -0.091_050_04,
            0.0,
            0.079_580_3,
            0.160_930_2,
            0.246_112_3,
            0.337_915_24,
            0.440_709_83,
            0.562_617,
            0.722_956_84,
            1.0,
        ];
        let positive = [0.0, 1.0 / 192.0, 2.0 / 3.0, 1.0, 1.0 / 3.0, 0.5, 1.0 / 6.0, 0.25];
        let floating: Vec<f64> = positive
            .iter()
            .copied()
            .chain(positive.map(|number| -number))
            .collect();
        for (book, exact) in [(CodeBook::Nf4, &normal[..]), (CodeBook::Fp4, &floating[..])] {
            for (number, exact) in book.numbers().iter().zip(exact) {
                let off = (f64::from(*number) / 127.0 - exact).abs();
                assert!(off <= 1.0 / 254.0 + 1e-9, "{book:?} {exact}: {off}");
            }
        }
    }
}
