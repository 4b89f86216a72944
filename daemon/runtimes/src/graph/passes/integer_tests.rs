use super::super::super::testing::{after, plan_after, refused};
use super::super::matmul::matmul;
use super::super::merged::merged;
use super::*;

/// As dynamic quantization writes one product of `x`.
fn written(name: &str, weights: &str) -> String {
    format!(
        "
        i{name} = MatMulInteger(q, {weights}, z, p{name})
        f{name} = Cast(i{name}) {{to=1}}
        t{name} = Mul(d, s{name})
        m{name} = Mul(f{name}, t{name})"
    )
}

fn with_input(rest: &str) -> String {
    format!(
        "
        input x f32[1,T,32]
        output y f32[1,T,16]
        constant w i8[32,16]
        number s f32 0.01
        number p i8 0
        q, d, z = DynamicQuantizeLinear(x)
        {rest}"
    )
}

#[test]
fn dynamic_quantization_written_out_becomes_one_product() {
    let before = with_input(&format!(
        "constant b f32[16]
        {}
        y = Add(b, m)",
        written("", "w")
    ));
    assert_eq!(
        after(&before, matmul),
        "y = airunner.QuantizedMatMul(x, b) {weights=\"matrix.0\", rows=16, columns=32}"
    );
    let plan = plan_after(&before, matmul);
    let [task] = &plan.packs[..] else {
        panic!("{plan:?}")
    };
    assert_eq!((task.columns, task.block, task.bits), (32, 32, 8));
    let source = &task.sources[0];
    assert_eq!((source.form, source.rows), (Form::Columns { block: 0 }, 16));
    // 0 is the middle of numbers with a sign.
    assert_eq!(source.zero_points, None);
}

#[test]
fn the_joined_forms_are_the_same_product() {
    let joined = with_input("y = ms.DynamicQuantizeMatMul(x, w, s, p)");
    let half_joined = with_input("y = ms.MatMulIntegerToFloat(q, w, d, s, z, p)");
    for before in [joined, half_joined] {
        assert_eq!(
            after(&before, matmul),
            "y = airunner.QuantizedMatMul(x) {weights=\"matrix.0\", rows=16, columns=32}"
        );
    }
}

#[test]
fn gate_and_up_become_one() {
    let parts = ["g", "u"].map(|name| {
        format!(
            "constant w{name} i8[32,16]
            number s{name} f32 0.01
            number p{name} i8 0
            {}",
            written(name, &format!("w{name}"))
        )
    });
    let before = with_input(&format!(
        "{}
        a = Sigmoid(mg)
        c = Mul(mg, a)
        y = Mul(c, mu)",
        parts.join("\n")
    ));
    assert_eq!(
        after(&before, merged),
        "y = airunner.QuantizedGatedMatMul(x) {weights=\"matrix.0\", rows=16, columns=32, activation=\"silu\"}"
    );
}

#[test]
fn what_others_read_or_is_of_another_size_is_left() {
    let cases = [
        (
            format!(
                "{}
                output i i32[1,T,16]
                y = Identity(m)",
                written("", "w")
            ),
            "others read",
        ),
        (
            "constant v i8[32,16,1]
            y = ms.DynamicQuantizeMatMul(x, v, s, p)"
                .to_owned(),
            "not a matrix",
        ),
        (
            "constant v f32[32,16]
            y = ms.DynamicQuantizeMatMul(x, v, s, p)"
                .to_owned(),
            "neither bytes",
        ),
        (
            "constant v f32[15]
            y = ms.DynamicQuantizeMatMul(x, w, v, p)"
                .to_owned(),
            "scales",
        ),
        (
            "constant v u8[16]
            y = ms.DynamicQuantizeMatMul(x, w, s, v)"
                .to_owned(),
            "zero points",
        ),
        (
            "constant v i8[0,16]
            y = ms.DynamicQuantizeMatMul(x, v, s, p)"
                .to_owned(),
            "empty",
        ),
        (
            "y = ms.DynamicQuantizeMatMul(x, x, s, p)".to_owned(),
            "nothing to change",
        ),
    ];
    for (rest, reason) in cases {
        let refusal = refused(&with_input(&rest), matmul);
        assert!(refusal.contains(reason), "{rest}: {refusal}");
    }
}
