use super::super::super::plan::Form;
use super::super::super::testing::{after, plan_after, refused};
use super::super::matmul::matmul;

#[test]
fn weights_may_come_out_of_bytes_in_either_order() {
    let cases = [
        (
            "i8[32,16]",
            "",
            "y = MatMul(x, k)",
            "w",
            Form::Columns { block: 0 },
        ),
        (
            "i8[16,32]",
            "",
            "r = Transpose(k) {perm=[1,0]}
            y = MatMul(x, r)",
            "w",
            Form::Rows { block: 0 },
        ),
        (
            "i8[16,32]",
            "r = Transpose(w) {perm=[1,0]}",
            "y = MatMul(x, k)",
            "r",
            Form::Rows { block: 0 },
        ),
    ];
    for (kind, before, product, bytes, form) in cases {
        let before = format!(
            "
            input x f32[1,T,32]
            output y f32[1,T,16]
            constant w {kind}
            number s f32 0.01
            {before}
            k = DequantizeLinear({bytes}, s)
            {product}"
        );
        assert_eq!(
            after(&before, matmul),
            "y = airunner.QuantizedMatMul(x) {weights=\"matrix.0\", rows=16, columns=32}"
        );
        assert_eq!(plan_after(&before, matmul).packs[0].sources[0].form, form);
    }
}

#[test]
fn scales_along_the_sum_are_left() {
    let with = |axis: &str| {
        format!(
            "
            input x f32[1,T,32]
            output y f32[1,T,32]
            constant w u8[32,32]
            constant s f32[32]
            constant p u8[32]
            k = DequantizeLinear(w, s, p) {{axis={axis}}}
            y = MatMul(x, k)"
        )
    };
    for axis in ["1", "-1"] {
        let plan = plan_after(&with(axis), matmul);
        assert!(plan.packs[0].sources[0].zero_points.is_some(), "{axis}");
    }
    for axis in ["0", "-2"] {
        assert!(
            refused(&with(axis), matmul).contains("nothing to change"),
            "{axis}"
        );
    }
}

/// `[32, 16]` or `[16, 32]` as a product of 32 columns with 16 results reads it.
fn with(constants: &str, linear: &str, product: &str) -> String {
    format!(
        "
        input x f32[1,32]
        output y f32[1,16]
        {constants}
        k = DequantizeLinear({linear}
        {product}"
    )
}

#[test]
fn blocks_of_columns_become_blocks_in_both_layouts() {
    let columns = Form::Columns { block: 16 };
    let rows = Form::Rows { block: 16 };
    let turned = "r = Transpose(k) {perm=[1,0]}\ny = MatMul(x, r)";
    for kind in ["i4", "u4", "i8", "u8"] {
        let bits = if kind.ends_with('4') { 4 } else { 8 };
        for (sizes, scales, axis, product, form) in [
            ("32,16", "2,16", "0", "y = MatMul(x, k)", columns),
            ("32,16", "2,16", "-2", "y = Gemm(x, k)", columns),
            ("16,32", "16,2", "1", turned, rows),
            ("16,32", "16,2", "-1", "y = Gemm(x, k) {transB=1}", rows),
        ] {
            for points in [true, false] {
                let constants = format!(
                    "constant w {kind}[{sizes}]\nconstant s f32[{scales}]\nconstant p {kind}[{scales}]"
                );
                let given = if points { "w, s, p" } else { "w, s" };
                let linear = format!("{given}) {{axis={axis}, block_size=16}}");
                let before = with(&constants, &linear, product);
                assert_eq!(
                    after(&before, matmul),
                    "y = airunner.QuantizedMatMul(x) {weights=\"matrix.0\", rows=16, columns=32}"
                );
                let plan = plan_after(&before, matmul);
                let task = &plan.packs[0];
                assert_eq!((task.columns, task.block, task.bits), (32, 16, bits), "{before}");
                assert_eq!(task.sources[0].form, form);
                // Numbers without a sign begin at 0 where no zero point is given.
                let has_points = task.sources[0].zero_points.is_some();
                assert_eq!(has_points, points || kind.starts_with('u'), "{before}");
            }
        }
    }
}

#[test]
fn blocks_of_other_sizes_are_cut_or_left() {
    for (own, block) in [(32, 32), (96, 32), (256, 256), (512, 128), (48, 16)] {
        let blocks = 1536 / own;
        let before = with(
            &format!("constant w i4[1536,16]\nconstant s f32[{blocks},16]"),
            &format!("w, s) {{axis=0, block_size={own}}}"),
            "y = MatMul(x, k)",
        );
        let plan = plan_after(&before, matmul);
        assert_eq!(plan.packs[0].block, block, "{own}");
        assert_eq!(plan.packs[0].sources[0].form, Form::Columns { block: own });
    }
    for own in [8, 24, 100] {
        let before = with(
            &format!(
                "constant w i4[600,16]\nconstant s f32[{},16]",
                600_u32.div_ceil(own)
            ),
            &format!("w, s) {{axis=0, block_size={own}}}"),
            "y = MatMul(x, k)",
        );
        assert!(refused(&before, matmul).contains("16 to 256"), "{own}");
    }
}

#[test]
fn half_bytes_may_have_a_scale_for_each_result() {
    let before = with(
        "constant w i4[32,16]\nconstant s f32[16]",
        "w, s) {axis=1}",
        "y = MatMul(x, k)",
    );
    let plan = plan_after(&before, matmul);
    assert_eq!((plan.packs[0].block, plan.packs[0].bits), (32, 4));
    assert_eq!(plan.packs[0].sources[0].form, Form::Columns { block: 0 });
}

#[test]
fn a_bias_of_a_gemm_is_kept_where_it_is_one_number_for_each_result() {
    let before = |bias: &str, name: &str| {
        with(
            &format!("constant w i8[32,16]\nconstant s f32[16]\nnumber t f32 0.5\n{bias}"),
            "w, s) {axis=1}",
            &format!("c = DequantizeLinear(j, t)\ny = Gemm(x, k, {name})"),
        )
    };
    let both = "constant b f32[16]\nconstant j i32[16]";
    assert_eq!(
        after(&before(both, "b"), matmul),
        "y = airunner.QuantizedMatMul(x, b) {weights=\"matrix.0\", rows=16, columns=32}"
    );
    assert_eq!(
        after(&before(both, "c"), matmul),
        "c = DequantizeLinear(j, t)
y = airunner.QuantizedMatMul(x, c) {weights=\"matrix.0\", rows=16, columns=32}"
    );
    for wrong in [
        "constant b f32[1]\nconstant j i32[16]",
        "constant b f32[1,16]\nconstant j i32[16]",
        "input b f32[16]\nconstant j i32[16]",
    ] {
        assert!(refused(&before(wrong, "b"), matmul).contains("bias"), "{wrong}");
    }
    assert!(refused(&before("constant j i32[1]", "c"), matmul).contains("bias"));
}

#[test]
fn what_disagrees_or_is_another_product_is_left() {
    let nothing = "nothing to change";
    for (constants, linear, product, reason) in [
        (
            "constant w i4[32,16]\nconstant s f32[16,2]",
            "w, s) {axis=0, block_size=16}",
            "MatMul(x, k)",
            "scales",
        ),
        (
            "constant w i4[32,16]\nconstant s f32[3,16]",
            "w, s) {axis=0, block_size=16}",
            "MatMul(x, k)",
            "scales",
        ),
        (
            "constant w i4[32,16]\nconstant s i32[2,16]",
            "w, s) {axis=0, block_size=16}",
            "MatMul(x, k)",
            "scales",
        ),
        (
            "constant w i4[32,16]\nconstant s f32[2,16]\nconstant p u4[2,16]",
            "w, s, p) {axis=0, block_size=16}",
            "MatMul(x, k)",
            "zero points",
        ),
        (
            "constant w i4[32,16]\nconstant s f32[2,16]\nconstant p i4[16,2]",
            "w, s, p) {axis=0, block_size=16}",
            "MatMul(x, k)",
            "zero points",
        ),
        (
            "constant w i4[2,16,16]\nconstant s f32[2,16]",
            "w, s) {axis=0, block_size=16}",
            "MatMul(x, k)",
            "not a matrix",
        ),
        (
            "constant w i32[32,16]\nconstant s f32[2,16]",
            "w, s) {axis=0, block_size=16}",
            "MatMul(x, k)",
            "neither bytes",
        ),
        // Blocks along the results.
        (
            "constant w i4[32,16]\nconstant s f32[32,1]",
            "w, s) {axis=1, block_size=16}",
            "MatMul(x, k)",
            nothing,
        ),
        (
            "constant w i4[16,32]\nconstant s f32[1,32]",
            "w, s) {axis=0, block_size=16}",
            "Gemm(x, k) {transB=1}",
            nothing,
        ),
        (
            "constant w i4[32,16]\nconstant s f32[2,16]",
            "w, s) {axis=0, block_size=-16}",
            "MatMul(x, k)",
            nothing,
        ),
        (
            "constant w i4[32,16]\nconstant s f32[2,16]",
            "w, s) {axis=0, block_size=16, output_dtype=10}",
            "MatMul(x, k)",
            nothing,
        ),
        (
            "constant w i4[32,16]\nconstant s f32[2,16]",
            "w, s) {axis=0, block_size=16}",
            "Gemm(x, k) {alpha=0.5}",
            nothing,
        ),
        (
            "constant w i4[32,16]\nconstant s f32[2,16]",
            "w, s) {axis=0, block_size=16}",
            "Gemm(x, k) {transA=1}",
            nothing,
        ),
        // Computed, not constant.
        (
            "input w i4[32,16]\nconstant s f32[2,16]",
            "w, s) {axis=0, block_size=16}",
            "MatMul(x, k)",
            nothing,
        ),
        (
            "constant w i4[32,16]\ninput s f32[2,16]",
            "w, s) {axis=0, block_size=16}",
            "MatMul(x, k)",
            nothing,
        ),
    ] {
        let refusal = refused(&with(constants, linear, &format!("y = {product}")), matmul);
        assert!(refusal.contains(reason), "{constants} {linear}: {refusal}");
    }
}
