//! Weights in every form in which packages have them.

use super::*;

/// Gate, up, down with a bias, and a head, of 64 columns; `x` is their input.
fn network(
    kind: &str,
    matrix: &dyn Fn(&str) -> String,
    product: &dyn Fn(&str, &str, &str) -> String,
) -> ModelProto {
    let text = [
        format!(
            "input input_ids i64[1,S]\noutput logits {kind}[1,S,64]
            constant table {kind}[128,64]\nconstant b {kind}[64]\n"
        ),
        ["g", "u", "d", "h"].map(matrix).concat(),
        "x = Gather(table, input_ids)\n".to_owned(),
        product("gate", "x", "g"),
        product("up", "x", "u"),
        "s = Sigmoid(gate)\na = Mul(gate, s)\nm = Mul(a, up)\n".to_owned(),
        product("e", "m", "d"),
        "down = Add(e, b)\n".to_owned(),
        product("logits", "down", "h"),
    ];
    testing::model(&text.concat())
}

fn written(model: &ModelProto) -> tempfile::TempDir {
    let package = tempfile::tempdir().unwrap();
    fs::write(package.path().join("model.onnx"), model.encode_to_vec()).unwrap();
    package
}

/// That all products are replaced, and compute what they did but for the order of additions.
fn check(model: &ModelProto, bound: f32, what: &str) {
    let package = written(model);
    let wanted = [Pass::Merged, Pass::MatMul];
    let off = difference_at(0, package.path(), "model.onnx", &wanted, &["merged", "matmul"]);
    assert!(off < bound, "{what}: {off}");
}

#[test]
fn weights_out_of_dequantize_linear_compute_the_same() {
    for kind in ["f32", "f16"] {
        // Half floats round between the layers, each kernel elsewhere.
        let bound = if kind == "f32" { 1e-5 } else { 4e-3 };
        for stored in ["i4", "u4", "i8", "u8"] {
            for (block, is_turned) in [(16, false), (32, true), (0, false), (0, true)] {
                for has_points in [false, true] {
                    let blocks = 64_u32.checked_div(block);
                    let sizes = match (blocks, is_turned) {
                        (Some(blocks), false) => format!("{blocks},64"),
                        (Some(blocks), true) => format!("64,{blocks}"),
                        (None, _) => "64".to_owned(),
                    };
                    let sum = i64::from(is_turned);
                    let attributes = match blocks {
                        Some(_) => format!("axis={sum}, block_size={block}"),
                        None => format!("axis={}", 1 - sum),
                    };
                    let matrix = |name: &str| {
                        let given = if has_points {
                            format!("{name}w, {name}s, {name}z")
                        } else {
                            format!("{name}w, {name}s")
                        };
                        format!(
                            "constant {name}w {stored}[64,64]\nconstant {name}s {kind}[{sizes}]
                            constant {name}z {stored}[{sizes}]
                            {name}k = DequantizeLinear({given}) {{{attributes}}}\n"
                        )
                    };
                    let product = |output: &str, input: &str, name: &str| {
                        if is_turned {
                            format!(
                                "{name}t = Transpose({name}k) {{perm=[1,0]}}
                                {output} = MatMul({input}, {name}t)\n"
                            )
                        } else {
                            format!("{output} = MatMul({input}, {name}k)\n")
                        }
                    };
                    let what = format!("{kind} {stored} {block} {is_turned} {has_points}");
                    check(&network(kind, &matrix, &product), bound, &what);
                }
            }
        }
    }
}

#[test]
fn a_gemm_with_such_weights_computes_the_same() {
    for is_turned in [false, true] {
        let (sizes, axis) = if is_turned { ("64,2", 1) } else { ("2,64", 0) };
        let turned = i64::from(is_turned);
        let text = format!(
            "input input_ids i64[1,S]\noutput logits f32[S,64]
            constant table f32[128,64]\nconstant w i4[64,64]\nconstant s f32[{sizes}]
            constant b f32[64]\nconstant c i32[64]\nnumber d f32 0.01\nintegers flat -1 64
            x = Gather(table, input_ids)
            f = Reshape(x, flat)
            k = DequantizeLinear(w, s) {{axis={axis}, block_size=32}}
            m = Gemm(f, k, b) {{transB={turned}}}
            e = DequantizeLinear(c, d)
            logits = Gemm(m, k, e) {{transB={turned}}}"
        );
        let package = written(&testing::model(&text));
        let off = difference_at(0, package.path(), "model.onnx", &[Pass::MatMul], &["matmul"]);
        assert!(off < 1e-5, "{is_turned}: {off}");
    }
}

/// As ONNX Runtime's own builder and quantizer write them.
#[test]
fn a_package_with_such_weights_computes_the_same() {
    for (wanted, applied) in [
        (&[Pass::MatMul][..], &["matmul"][..]),
        (&Pass::ALL, &["merged", "matmul", "last_rows", "attention"]),
    ] {
        let off = difference_at(0, &parity("llama-gqa-qdq4"), "model.onnx", wanted, applied);
        assert!(off < 1e-5, "{applied:?}: {off}");
    }
}

/// With 16 bits rounding is too fine to show.
#[test]
fn fixed_scales_of_activations_are_left_out() {
    let text = "input input_ids i64[1,S]\noutput logits f32[1,S,64]
        constant table f32[128,64]
        number s f32 0.0001\nnumber z u16 32768\nnumber zero u16 0
        constant w i8[64,64]\nconstant v i8[64,64]\nconstant c f32[64]\nconstant p i8[64]
        x = Gather(table, input_ids)
        a = QuantizeLinear(x, s, z)\nb = DequantizeLinear(a, s, z)
        k = DequantizeLinear(w, c, p) {axis=1}
        d = MatMul(b, k)
        e = QuantizeLinear(d, s, zero)\nf = DequantizeLinear(e, s, zero)
        g = QuantizeLinear(f, s, z)\nh = DequantizeLinear(g, s, z)
        l = DequantizeLinear(v, c, p) {axis=1}
        logits = MatMul(h, l)";
    let package = written(&testing::model(text));
    let wanted = [Pass::FixedScales, Pass::MatMul];
    let off = difference_at(
        0,
        package.path(),
        "model.onnx",
        &wanted,
        &["fixed_scales", "matmul"],
    );
    assert!(off < 1e-3, "{off}");
}

/// 8 bits of a scale that is not as wide as the numbers that come.
#[test]
fn products_with_fixed_scales_compute_nearly_the_same() {
    let text = "input input_ids i64[1,S]\noutput logits f32[1,S,64]
        constant table f32[128,64]
        number s f32 0.0005\nnumber z u8 128\nnumber t f32 0.0007\nnumber r f32 0.02\nnumber c f32 0.001
        constant w i8[64,64]\nconstant v i8[64,64]\nconstant d f32[64]\nnumber i i8 0\nconstant p i8[64]
        x = Gather(table, input_ids)
        q = QuantizeLinear(x, s, z)
        a = QLinearMatMul(q, s, z, w, c, i, t, z)
        b = QLinearMatMul(a, t, z, v, d, p, r, z)
        e = DequantizeLinear(b, r, z)
        logits = Mul(e, s)";
    let package = written(&testing::model(text));
    let wanted = [Pass::FixedScales, Pass::MatMul];
    let off = difference_at(
        4,
        package.path(),
        "model.onnx",
        &wanted,
        &["fixed_scales", "matmul"],
    );
    assert!(off < 5e-2, "{off}");
}

/// As `quantize_static` writes them; all passes know what is left.
#[test]
fn packages_with_fixed_scales_compute_as_before_they_were_rounded() {
    let applied = ["fixed_scales", "merged", "matmul", "last_rows", "decomposed"];
    for package in ["llama-hf-static8", "llama-hf-static8-qdq"] {
        let (directory, file) = (parity(package), "onnx/model_quantized.onnx");
        let off = difference_at(4, &directory, file, &Pass::ALL, &applied);
        // Their own rounding, which is not repeated.
        assert!(off < 0.2, "{package}: {off}");
        let full = parity("llama-hf").join("onnx/model.onnx");
        let off = difference_from(&full, 0, &directory, file, &Pass::ALL, &applied);
        // That of the weights to 8 bits is all that is left.
        assert!(off < 3e-2, "{package}: {off}");
    }
}

#[test]
fn numbers_of_a_book_compute_nearly_the_same() {
    for (kind, bound) in [("f32", 1e-2), ("f16", 1.5e-2)] {
        for book in [0, 1] {
            let matrix = |name: &str| format!("constant {name}w u8[2048]\nconstant {name}s {kind}[128]\n");
            let product = |output: &str, input: &str, name: &str| {
                format!(
                    "{output} = ms.MatMulBnb4({input}, {name}w, {name}s) \
                     {{K=64, N=64, block_size=32, quant_type={book}}}\n"
                )
            };
            check(
                &network(kind, &matrix, &product),
                bound,
                &format!("{kind} {book}"),
            );
        }
    }
}
