use super::super::super::plan::Plan;
use super::super::super::testing::{after, refused};
use super::super::matmul::matmul;
use super::*;

fn graph(body: &str) -> String {
    format!(
        "input x f32[1,T,32]
        output y f32[1,T,16]
        constant w i8[32,16]
        constant v i8[32,32]
        number a f32 0.01
        number b f32 0.02
        number nan f32 NaN
        number zero f32 0.0
        number m u8 128
        number n u8 0
        number i i8 0
        constant s f32[16]
        constant t i8[16]
        constant r f32[1]
        {body}"
    )
}

fn both(graph: &mut Graph, plan: &mut Plan) -> Result<Changed, Refusal> {
    fixed_scales(graph, plan)?;
    matmul(graph, plan)
}

#[test]
fn a_product_with_fixed_scales_becomes_one_of_ours() {
    for weights in ["b, i", "s, t"] {
        let before = graph(&format!(
            "q = QuantizeLinear(x, a, m)
            p = QLinearMatMul(q, a, m, w, {weights}, b, m)
            y = DequantizeLinear(p, b, m)"
        ));
        // The last one makes what the graph gives away.
        assert_eq!(
            after(&before, both),
            "airunner/p = airunner.QuantizedMatMul(x) {weights=\"matrix.0\", rows=16, columns=32}
p = QuantizeLinear(airunner/p, b, m)
y = DequantizeLinear(p, b, m)"
        );
        let between = before.replace(
            "y = DequantizeLinear(p, b, m)",
            "o = DequantizeLinear(p, b, m)\ny = Neg(o)",
        );
        assert_eq!(
            after(&between, both),
            "airunner/p = airunner.QuantizedMatMul(x) {weights=\"matrix.0\", rows=16, columns=32}
y = Neg(airunner/p)"
        );
    }
}

#[test]
fn products_one_behind_the_other_are_not_rounded_between() {
    let before = graph(
        "q = QuantizeLinear(x, a, m)
        p = QLinearMatMul(q, a, m, v, b, i, b, m)
        u = QLinearMatMul(p, b, m, w, b, i, a, m)
        o = DequantizeLinear(u, a, m)
        y = Neg(o)",
    );
    assert_eq!(
        after(&before, both),
        "airunner/p = airunner.QuantizedMatMul(x) {weights=\"matrix.0\", rows=32, columns=32}
airunner/u = airunner.QuantizedMatMul(airunner/p) {weights=\"matrix.1\", rows=16, columns=32}
y = Neg(airunner/u)"
    );
}

#[test]
fn pairs_around_other_nodes_go_too_one_behind_the_other() {
    let before = graph(
        "k = DequantizeLinear(w, s, t) {axis=1}
        q = QuantizeLinear(x, a, m)
        d = DequantizeLinear(q, a, m)
        e = QuantizeLinear(d, b, m)
        f = DequantizeLinear(e, b, m)
        g = MatMul(f, k)
        h = QuantizeLinear(g, a, m)
        o = DequantizeLinear(h, a, m)
        y = Neg(o)",
    );
    assert_eq!(
        after(&before, both),
        "g = airunner.QuantizedMatMul(x) {weights=\"matrix.0\", rows=16, columns=32}
y = Neg(g)"
    );
}

#[test]
fn a_pair_that_cuts_off_one_sign_still_does() {
    let with = |maker: &str| {
        after(
            &graph(&format!(
                "o = {maker}\nq = QuantizeLinear(o, a, n)\nd = DequantizeLinear(q, a, n)\ny = Neg(d)"
            )),
            fixed_scales,
        )
    };
    assert_eq!(
        with("Neg(x)"),
        "o = Neg(x)\nd = Clip(o, airunner/limit, airunner/limit.1)\ny = Neg(d)"
    );
    assert_eq!(with("Softmax(x)"), "o = Softmax(x)\ny = Neg(o)");
}

#[test]
fn limits_are_what_the_pair_leaves() {
    let rounding = |zero_point, dtype| Rounding {
        scale: 0.5,
        zero_point,
        dtype,
    };
    assert_eq!(rounding(0, dtype::UINT8).one_sign(), Some([0.0, 127.5]));
    assert_eq!(rounding(127, dtype::INT8).one_sign(), Some([-127.5, 0.0]));
    assert_eq!(rounding(0, dtype::UINT16).one_sign(), Some([0.0, 32_767.5]));
    for (zero_point, dtype) in [(0, dtype::INT8), (128, dtype::UINT8), (0, dtype::INT16)] {
        assert_eq!(rounding(zero_point, dtype).one_sign(), None);
    }
}

#[test]
fn what_does_more_than_rounding_is_left() {
    let pair = |round: &str, back: &str| {
        format!("q = QuantizeLinear(x, {round})\nd = DequantizeLinear(q, {back})\ny = Neg(d)")
    };
    for body in [
        // Another scale, another zero point, none that is fixed, or none at all.
        pair("a, m", "b, m"),
        pair("a, m", "a, n"),
        pair("s, t", "s, t"),
        pair("nan, m", "nan, m"),
        pair("zero, m", "zero, m"),
        "q = QuantizeLinear(x, c, m)\nd = DequantizeLinear(q, c, m)\ny = Neg(d)\ninput c f32[]".to_owned(),
        pair("a, a", "a, a"),
        "q = QuantizeLinear(x, a, m)\ny = DequantizeLinear(q, a, m)".to_owned(),
        "q = QuantizeLinear(x, a, m)\np = QLinearMatMul(q, nan, m, w, b, i, b, m)\ny = Neg(p)".to_owned(),
        "q = QuantizeLinear(x, a, m)\np = QLinearMatMul(q, a, m, w, r, i, nan, m)\ny = Neg(p)".to_owned(),
    ] {
        assert_eq!(
            refused(&graph(&body), fixed_scales),
            "there is nothing to change",
            "{body}"
        );
    }
}
