//! `MatMulNBits` -> `QuantizedMatMul`: inputs A and, where there is one, a bias; attributes
//! `weights` (the key of a packed matrix), `rows` (N) and `columns` (K). It computes with 32-bit
//! floats outside: in a graph of half floats its input and output are converted.

use super::super::edit::{Build, Edits, Graph, Widened, narrowed};
use super::super::plan::{Arrangement, Plan};
use super::super::{Changed, Refusal};
use super::quantized::{Quantized, products};

pub(in super::super) fn matmul(graph: &mut Graph, plan: &mut Plan) -> Result<Changed, Refusal> {
    let (found, left) = products(graph, &graph.index());
    if let (true, Some(refusal)) = (found.is_empty(), left) {
        return Err(refusal);
    }
    let mut edits = Edits::default();
    let mut widened = Widened::default();
    for product in &found {
        replace(graph, plan, &mut edits, &mut widened, product);
    }
    graph.apply(edits);
    Changed::some(found.len())
}

fn replace(
    graph: &mut Graph,
    plan: &mut Plan,
    edits: &mut Edits,
    widened: &mut Widened,
    product: &Quantized,
) {
    let last = product.last_node();
    let key = plan.pack(Arrangement::Stacked, vec![product.source.clone()], product.shape);
    let input = widened.get(graph, edits, product.nodes[0], &product.input, product.dtype);
    let bias = product
        .bias
        .as_ref()
        // Not shared: additions are not in the order of the products.
        .map(|bias| Widened::default().get(graph, edits, last, bias, product.dtype));
    let (output, cast) = narrowed(graph, &product.output, product.dtype);
    let node = Build::ours("QuantizedMatMul")
        .inputs(&[Some(&input), bias.as_deref()])
        .text("weights", &key)
        .integer("rows", product.source.rows.cast_signed())
        .integer("columns", product.shape.columns.cast_signed())
        .output(&output);
    edits.remove(product.nodes.iter().copied());
    edits.put_before(last, [Some(node), cast].into_iter().flatten());
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{after, parse, plan_after, refused, text};
    use super::*;

    #[test]
    fn weights_leave_the_graph_and_a_bias_becomes_an_input() {
        let before = "
            input x f32[1,T,32]
            output y f32[1,T,16]
            constant w u8[16,1,16]
            constant s f32[16,1]
            constant b f32[16]
            m = ms.MatMulNBits(x, w, s) {K=32, N=16, bits=4, block_size=32}
            y = Add(m, b)";
        let mut graph = parse(before);
        let mut plan = Plan::default();
        matmul(&mut graph, &mut plan).unwrap();
        assert_eq!(
            text(&graph),
            "y = airunner.QuantizedMatMul(x, b) {weights=\"matrix.0\", rows=16, columns=32}"
        );
        let names: Vec<&str> = graph
            .proto()
            .initializer
            .iter()
            .map(|t| t.name.as_str())
            .collect();
        assert_eq!(names, ["b"]);
        let [task] = &plan.packs[..] else {
            panic!("{plan:?}")
        };
        assert_eq!(
            (task.rows(), task.columns, task.block, task.bits),
            (16, 32, 32, 4)
        );
        assert_eq!(task.arrangement, Arrangement::Stacked);
        assert_eq!(task.sources[0].weights.bytes(), 256);
    }

    #[test]
    fn half_floats_are_converted_once_per_input() {
        let before = "
            input x f16[1,T,32]
            output z f16[1,T,16]
            constant w u8[16,1,32]
            constant v u8[16,1,32]
            constant s f16[16,1]
            constant p u8[16,1]
            a = ms.MatMulNBits(x, w, s, p) {K=32, N=16, bits=8, block_size=32}
            b = ms.MatMulNBits(x, v, s, p) {K=32, N=16, bits=8, block_size=32}
            z = Add(a, b)";
        assert_eq!(
            after(before, matmul),
            "airunner/x = Cast(x) {to=1}
airunner/a = airunner.QuantizedMatMul(airunner/x) {weights=\"matrix.0\", rows=16, columns=32}
a = Cast(airunner/a) {to=10}
airunner/b = airunner.QuantizedMatMul(airunner/x) {weights=\"matrix.1\", rows=16, columns=32}
b = Cast(airunner/b) {to=10}
z = Add(a, b)"
        );
    }

    #[test]
    fn a_value_that_is_read_twice_keeps_its_addition() {
        let before = "
            input x f32[1,T,32]
            output y f32[1,T,16]
            output m f32[1,T,16]
            constant w u8[16,1,16]
            constant s f32[16,1]
            constant b f32[16]
            m = ms.MatMulNBits(x, w, s) {K=32, N=16, bits=4, block_size=32}
            y = Add(m, b)";
        assert_eq!(
            after(before, matmul),
            "m = airunner.QuantizedMatMul(x) {weights=\"matrix.0\", rows=16, columns=32}
y = Add(m, b)"
        );
    }

    #[test]
    fn a_matrix_used_twice_is_packed_once() {
        let plan = plan_after(
            "
            input x f32[1,T,32]
            output y f32[1,T,32]
            constant w u8[32,1,16]
            constant s f32[32,1]
            m = ms.MatMulNBits(x, w, s) {K=32, N=32, bits=4, block_size=32}
            y = ms.MatMulNBits(m, w, s) {K=32, N=32, bits=4, block_size=32}",
            matmul,
        );
        assert_eq!(plan.packs.len(), 1);
    }

    #[test]
    fn what_the_kernels_do_not_do_is_left() {
        let cases = [
            (
                "ms.MatMulNBits(x, w, s, f)",
                "bits=4, block_size=32",
                "not whole numbers",
            ),
            (
                "ms.MatMulNBits(x, w, s, , g)",
                "bits=4, block_size=32",
                "out of order",
            ),
            (
                "ms.MatMulNBits(x, w, s)",
                "bits=2, block_size=32",
                "neither 4 nor 8",
            ),
            ("ms.MatMulNBits(x, w, s)", "bits=4, block_size=24", "16 to 256"),
            (
                "ms.MatMulNBits(x, w, s)",
                "bits=8, block_size=32",
                "weights have another",
            ),
            (
                "ms.MatMulNBits(x, w, w)",
                "bits=4, block_size=32",
                "scales have another",
            ),
            (
                "ms.MatMulNBits(x, w, s, w)",
                "bits=4, block_size=32",
                "zero points have another",
            ),
            (
                "ms.MatMulNBits(x, x, s)",
                "bits=4, block_size=32",
                "not a constant",
            ),
        ];
        for (node, attributes, reason) in cases {
            let before = format!(
                "input x f32[1,T,32]
                output y f32[1,T,16]
                constant w u8[16,1,16]
                constant s f32[16,1]
                constant f f32[16,1]
                constant g i32[32]
                y = {node} {{K=32, N=16, {attributes}}}"
            );
            let refusal = refused(&before, matmul);
            assert!(refusal.contains(reason), "{node}: {refusal}");
        }
    }
}
