use super::super::super::testing::{after, plan_after, refused};
use super::super::merged::merged;
use super::*;

/// Three products of `x`, each read by one node.
fn family(kind: &str, products: [&str; 3], rest: &str) -> String {
    let [query, key, value] = products;
    format!(
        "input x {kind}[1,T,32]
        output y {kind}[1,T,32]
        output z {kind}[1,T,16]
        output o {kind}[1,T,16]
        constant qw u8[32,1,16]
        constant qs {kind}[32,1]
        constant kw u8[16,1,16]
        constant ks {kind}[16,1]
        constant vw u8[16,1,16]
        constant vs {kind}[16,1]
        constant wide u8[16,1,32]
        constant vz u8[16,1]
        constant qb {kind}[32]
        constant kb {kind}[16]
        q = ms.MatMulNBits(x, {query}) {{K=32, N=32, bits=4, block_size=32}}
        k = ms.MatMulNBits(x, {key}
        v = ms.MatMulNBits(x, {value}
        {rest}"
    )
}

const FOUR: &str = "{K=32, N=16, bits=4, block_size=32}";
const NORMS: &str = "y = Neg(q)\nz = Neg(k)\no = Abs(v)";

fn plain(kind: &str, rest: &str) -> String {
    let (key, value) = (format!("kw, ks) {FOUR}"), format!("vw, vs) {FOUR}"));
    family(kind, ["qw, qs", &key, &value], rest)
}

#[test]
fn query_key_and_value_with_norms_behind_become_one_product() {
    assert_eq!(
        after(&plain("f32", NORMS), merged),
        "airunner/q = airunner.QuantizedMatMul(x) {weights=\"matrix.0\", rows=64, columns=32}
q, k, v = Split(airunner/q, airunner/sizes) {axis=-1}
y = Neg(q)
z = Neg(k)
o = Abs(v)"
    );
    let plan = plan_after(&plain("f32", NORMS), merged);
    let rows: Vec<u64> = plan.packs[0].sources.iter().map(|source| source.rows).collect();
    assert_eq!(rows, [32, 16, 16]);
    assert_eq!(plan.packs[0].arrangement, Arrangement::Stacked);
}

#[test]
fn half_floats_are_converted_around_all_at_once() {
    let text = after(&plain("f16", NORMS), merged);
    assert_eq!(text.matches("Cast").count(), 2, "{text}");
    assert!(text.contains("q, k, v = Split(airunner/q, "), "{text}");
}

#[test]
fn biases_of_all_are_joined_and_those_of_some_keep_them_apart() {
    let with = |rest: &str| {
        after(
            &plain("f32", &format!("{rest}\ny = Neg(a)\nz = Neg(b)\no = Abs(c)")),
            merged,
        )
    };
    let all = with("a = Add(q, qb)\nb = Add(kb, k)\nc = Add(v, kb)");
    assert!(all.contains("airunner/qb = Concat(qb, kb, kb) {axis=0}"), "{all}");
    assert!(all.contains("a, b, c = Split("), "{all}");
    // Two go together; the other one alone is for another pass.
    let some = with("a = Add(q, qb)\nb = Add(kb, k)\nc = Neg(v)");
    assert!(some.contains("a, b = Split("), "{some}");
    assert!(some.contains("v = ms.MatMulNBits(x, vw, vs)"), "{some}");
}

#[test]
fn only_what_can_be_rows_of_one_matrix_is_joined() {
    let eight = "wide, vs) {K=32, N=16, bits=8, block_size=32}";
    let points = format!("vw, vs, vz) {FOUR}");
    let key = format!("kw, ks) {FOUR}");
    for value in [eight, &points] {
        let text = after(&family("f32", ["qw, qs", &key, value], NORMS), merged);
        assert!(text.contains("q, k = Split("), "{text}");
        assert!(text.contains("v = ms.MatMulNBits"), "{text}");
    }
}

#[test]
fn products_of_other_values_and_results_of_the_graph_stay_apart() {
    let key = format!("kw, ks) {FOUR}");
    let value = format!("vw, vs) {FOUR}");
    let before = family("f32", ["qw, qs", &key, &value], NORMS);
    let other = before.replace("v = ms.MatMulNBits(x,", "w = Neg(x)\nv = ms.MatMulNBits(w,");
    // A result that the graph gives away stays where it is; the others are a family nevertheless.
    let given = before
        .replace("o = Abs(v)", "o = Abs(z)")
        .replace("v = ms", "vv = ms");
    assert_eq!(refused(&other, merged), "there is nothing to change");
    assert!(after(&given, merged).contains("q, k = Split("));
}

#[test]
fn a_standard_whose_split_has_other_sizes_keeps_them_apart() {
    let mut model = super::super::super::testing::model(&plain("f32", NORMS));
    model.opset_import[0].version = 12;
    let mut graph = Graph::new(model, "model.onnx").unwrap();
    assert!(merged(&mut graph, &mut Plan::default()).is_err());
}
