//! `MatMulNBits` computes with 8-bit activations where its attribute `accuracy_level` says 4.
//! Most packages leave it out, and ONNX Runtime then takes the slow way with 32-bit floats.

use super::super::edit::Graph;
use super::super::index::is_microsoft;
use super::super::plan::Plan;
use super::super::{Changed, Refusal};
use crate::onnx::dtype;

const SMALL_INTEGERS: i64 = 4;
const ZERO_POINTS: usize = 3;

pub(in super::super) fn accuracy_level(graph: &mut Graph, _plan: &mut Plan) -> Result<Changed, Refusal> {
    let index = graph.index();
    let found: Vec<usize> = (0..)
        .zip(index.nodes())
        .filter(|(_, node)| is_microsoft(node, "MatMulNBits"))
        .filter(|(_, node)| node.integer("accuracy_level") != Some(SMALL_INTEGERS))
        // Zero points that are floats rule the fast way out.
        .filter(|(_, node)| {
            node.given(ZERO_POINTS).is_none_or(|zero_points| {
                let tensor = index.constant(zero_points);
                tensor.is_some_and(|tensor| i64::from(tensor.data_type) == dtype::UINT8)
            })
        })
        .map(|(number, _)| number)
        .collect();
    for &number in &found {
        graph.set_integer(number, "accuracy_level", SMALL_INTEGERS);
    }
    Changed::some(found.len())
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{after, refused};
    use super::*;

    const WEIGHTS: &str = "
        input x f32[1,T,32]
        output y f32[1,T,16]
        constant w u8[16,1,16]
        constant s f32[16,1]
        constant z u8[16,1]
        constant f f32[16,1]
    ";

    #[test]
    fn is_set_where_it_is_missing_or_another() {
        let text = format!(
            "{WEIGHTS}
            a = ms.MatMulNBits(x, w, s) {{K=32, N=16, bits=4, block_size=32}}
            b = ms.MatMulNBits(x, w, s, z) {{K=32, N=16, bits=4, block_size=32, accuracy_level=0}}
            y = Add(a, b)"
        );
        assert_eq!(
            after(&text, accuracy_level),
            "a = ms.MatMulNBits(x, w, s) {K=32, N=16, bits=4, block_size=32, accuracy_level=4}
b = ms.MatMulNBits(x, w, s, z) {K=32, N=16, bits=4, block_size=32, accuracy_level=4}
y = Add(a, b)"
        );
    }

    #[test]
    fn is_left_where_zero_points_are_floats() {
        let text = format!("{WEIGHTS} y = ms.MatMulNBits(x, w, s, f) {{K=32, N=16, bits=4, block_size=32}}");
        assert_eq!(refused(&text, accuracy_level), "there is nothing to change");
    }

    #[test]
    fn is_left_where_it_is_set() {
        let text = format!(
            "{WEIGHTS} y = ms.MatMulNBits(x, w, s) {{K=32, N=16, bits=4, block_size=32, accuracy_level=4}}"
        );
        assert_eq!(refused(&text, accuracy_level), "there is nothing to change");
    }
}
