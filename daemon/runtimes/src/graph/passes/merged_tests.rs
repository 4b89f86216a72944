//! Graphs before and after, and graphs that stay.

use super::super::super::testing::{after, parse, refused, text};
use super::*;

/// Query, key and value with weights of their own; what follows them differs.
fn attention(middle: &str, attention_inputs: &str) -> String {
    format!(
        "input x f32[1,T,32]
        input past_k f32[1,1,P,16]
        input past_v f32[1,1,P,16]
        input lengths i32[1]
        input total i32[]
        output y f32[1,T,32]
        constant qw u8[32,1,16]
        constant qs f32[32,1]
        constant kw u8[16,1,16]
        constant ks f32[16,1]
        constant vw u8[16,1,16]
        constant vs f32[16,1]
        constant vz u8[16,1]
        constant qb f32[32]
        constant kb f32[16]
        q = ms.MatMulNBits(x, qw, qs) {{K=32, N=32, bits=4, block_size=32}}
        k = ms.MatMulNBits(x, kw, ks) {{K=32, N=16, bits=4, block_size=32}}
        v = ms.MatMulNBits(x, vw, vs) {{K=32, N=16, bits=4, block_size=32}}
        {middle}
        y = ms.GroupQueryAttention({attention_inputs}, past_k, past_v, lengths, total) {{num_heads=2, kv_num_heads=1}}"
    )
}

#[test]
fn query_key_and_value_become_one_packed_query() {
    let mut graph = parse(&attention("", "q, k, v"));
    let mut plan = Plan::default();
    merged(&mut graph, &mut plan).unwrap();
    assert_eq!(
        text(&graph),
        "airunner/q = airunner.QuantizedMatMul(x) {weights=\"matrix.0\", rows=64, columns=32}
y = ms.GroupQueryAttention(airunner/q, , , past_k, past_v, lengths, total) {num_heads=2, kv_num_heads=1}"
    );
    let rows: Vec<u64> = plan.packs[0].sources.iter().map(|source| source.rows).collect();
    assert_eq!(rows, [32, 16, 16]);
    assert_eq!(plan.packs[0].arrangement, Arrangement::Stacked);
}

#[test]
fn biases_are_joined() {
    let middle = "q2 = Add(q, qb)
        k2 = Add(kb, k)
        v2 = Add(v, kb)";
    assert_eq!(
        after(&attention(middle, "q2, k2, v2"), merged),
        "airunner/qb = Concat(qb, kb, kb) {axis=0}
airunner/q2 = airunner.QuantizedMatMul(x, airunner/qb) {weights=\"matrix.0\", rows=64, columns=32}
y = ms.GroupQueryAttention(airunner/q2, , , past_k, past_v, lengths, total) {num_heads=2, kv_num_heads=1}"
    );
}

#[test]
fn query_key_and_value_are_split_again_where_something_lies_between() {
    for (middle, inputs, parts) in [
        // A norm of the query, a bias of one, and a value that is read twice.
        ("q2 = Neg(q)", "q2, k, v", "q, k, v"),
        ("q2 = Add(q, qb)", "q2, k, v", "k, v"),
        ("", "q, k, k", "q, k"),
    ] {
        let text = after(&attention(middle, inputs), merged);
        assert!(text.contains(&format!("{parts} = Split(")), "{text}");
        assert!(
            text.contains(&format!("GroupQueryAttention({inputs}, past_k")),
            "{text}"
        );
    }
}

#[test]
fn another_kind_of_zero_points_stays_apart() {
    let mixed = attention("", "q, k, v").replace("(x, vw, vs)", "(x, vw, vs, vz)");
    let text = after(&mixed, merged);
    assert!(text.contains("q, k = Split("), "{text}");
    assert!(text.contains("v = ms.MatMulNBits(x, vw, vs, vz)"), "{text}");
}

/// Gate and up of half or single floats, and how they meet.
fn gate(kind: &str, middle: &str) -> String {
    format!(
        "input x {kind}[1,T,32]
        output y {kind}[1,T,64]
        constant gw u8[64,1,16]
        constant gs {kind}[64,1]
        constant uw u8[64,1,16]
        constant us {kind}[64,1]
        number one f32 1
        number half f32 0.5
        number root f32 1.4142135
        number root2 f32 0.70710678
        number pi f32 0.7978845608
        number cubic f32 0.044715
        number three f32 3
        g = ms.MatMulNBits(x, gw, gs) {{K=32, N=64, bits=4, block_size=32}}
        u = ms.MatMulNBits(x, uw, us) {{K=32, N=64, bits=4, block_size=32}}
        {middle}"
    )
}

fn merged_gate(activation: &str) -> String {
    format!(
        "y = airunner.QuantizedGatedMatMul(x) {{weights=\"matrix.0\", rows=64, columns=32, activation=\"{activation}\"}}"
    )
}

#[test]
fn gate_and_up_meet_in_every_form_of_the_activation() {
    let forms = [
        ("silu", "s = Sigmoid(g)\na = Mul(g, s)\ny = Mul(a, u)"),
        ("silu", "s = Sigmoid(g)\na = Mul(s, u)\ny = Mul(g, a)"),
        ("silu", "a = ms.QuickGelu(g) {alpha=1.0}\ny = Mul(u, a)"),
        ("silu", "a = Swish(g)\ny = Mul(u, a)"),
        ("gelu_erf", "a = Gelu(g)\ny = Mul(a, u)"),
        ("gelu_erf", "a = ms.Gelu(g)\ny = Mul(a, u)"),
        ("gelu_tanh", "a = Gelu(g) {approximate=\"tanh\"}\ny = Mul(a, u)"),
        ("gelu_tanh", "a = ms.FastGelu(g)\ny = Mul(a, u)"),
        (
            "gelu_erf",
            "d = Div(g, root)\ne = Erf(d)\np = Add(e, one)\nm = Mul(g, p)\na = Mul(m, half)\ny = Mul(a, u)",
        ),
        (
            "gelu_erf",
            "d = Mul(g, root2)\ne = Erf(d)\np = Add(one, e)\nh = Mul(half, g)\na = Mul(h, p)\ny = Mul(a, u)",
        ),
        (
            "gelu_tanh",
            "c = Pow(g, three)\nd = Mul(c, cubic)\ns = Add(g, d)\nr = Mul(s, pi)\nt = Tanh(r)
            p = Add(t, one)\nh = Mul(g, half)\na = Mul(h, p)\ny = Mul(a, u)",
        ),
        (
            "gelu_tanh",
            "b = Mul(g, g)\nc = Mul(b, g)\nd = Mul(c, cubic)\ns = Add(d, g)\nr = Mul(pi, s)\nt = Tanh(r)
            p = Add(t, one)\nh = Mul(p, half)\na = Mul(g, h)\ny = Mul(a, u)",
        ),
    ];
    for (activation, form) in forms {
        assert_eq!(
            after(&gate("f32", form), merged),
            merged_gate(activation),
            "{form}"
        );
    }
}

#[test]
fn gate_comes_before_up_in_the_packed_matrix() {
    let mut graph = parse(&gate("f32", "s = Sigmoid(g)\na = Mul(g, s)\ny = Mul(u, a)"));
    graph_names_differ(&mut graph);
}

fn graph_names_differ(graph: &mut Graph) {
    let gate_weights = graph.reference(&graph.index(), "gw").unwrap();
    let mut plan = Plan::default();
    merged(graph, &mut plan).unwrap();
    assert_eq!(plan.packs[0].arrangement, Arrangement::Interleaved);
    assert_eq!(plan.packs[0].sources[0].weights, gate_weights);
    assert_ne!(plan.packs[0].sources[1].weights, gate_weights);
}

#[test]
fn half_floats_are_converted_around() {
    let before = gate("f16", "s = Sigmoid(g)\na = Mul(g, s)\ny = Mul(a, u)");
    assert_eq!(
        after(&before, merged),
        "airunner/x = Cast(x) {to=1}
airunner/y = airunner.QuantizedGatedMatMul(airunner/x) {weights=\"matrix.0\", rows=64, columns=32, activation=\"silu\"}
y = Cast(airunner/y) {to=10}"
    );
}

#[test]
fn what_only_looks_alike_stays() {
    for form in [
        // 1.702, the usual one; a bias; another constant; a gate that is read elsewhere.
        "a = ms.QuickGelu(g)\ny = Mul(u, a)",
        "a = ms.FastGelu(g, us)\ny = Mul(u, a)",
        "d = Div(g, half)\ne = Erf(d)\np = Add(e, one)\nm = Mul(g, p)\na = Mul(m, half)\ny = Mul(a, u)",
        "s = Sigmoid(u)\na = Mul(g, s)\ny = Mul(a, g)",
        "s = Sigmoid(g)\na = Mul(g, s)\nb = Mul(a, u)\ny = Add(b, g)",
        "s = Sigmoid(g)\na = Mul(g, s)\nb = Mul(a, half)\ny = Mul(b, u)",
    ] {
        assert_eq!(
            refused(&gate("f32", form), merged),
            "there is nothing to change",
            "{form}"
        );
    }
}

#[test]
fn gate_and_up_may_be_halves_of_one_matrix() {
    let before = |sizes: &str, halves: &str| {
        format!(
            "input x f32[1,T,32]
            output y f32[1,T,32]
            constant w u8[64,1,16]
            constant s f32[64,1]
            constant z u8[64,1]
            integers sizes {sizes}
            m = ms.MatMulNBits(x, w, s, z) {{K=32, N=64, bits=4, block_size=32}}
            {halves} = Split(m, sizes) {{axis=-1}}
            t = Sigmoid(g)
            a = Mul(g, t)
            y = Mul(a, u)"
        )
    };
    let mut graph = parse(&before("32 32", "g, u"));
    let weights = graph.reference(&graph.index(), "w").unwrap();
    let mut plan = Plan::default();
    merged(&mut graph, &mut plan).unwrap();
    assert_eq!(
        text(&graph),
        "y = airunner.QuantizedGatedMatMul(x) {weights=\"matrix.0\", rows=32, columns=32, activation=\"silu\"}"
    );
    let [gate, up] = &plan.packs[0].sources[..] else {
        panic!("{plan:?}")
    };
    assert_eq!(Some(&gate.weights), weights.half(false).as_ref());
    assert_eq!(Some(&up.weights), weights.half(true).as_ref());
    assert_eq!((gate.rows, up.rows), (32, 32));

    // The other order, and halves that are none.
    let mut turned = Plan::default();
    merged(&mut parse(&before("32 32", "u, g")), &mut turned).unwrap();
    assert_eq!(turned.packs[0].sources[0].weights, up.weights);
    assert_eq!(
        refused(&before("16 48", "g, u"), merged),
        "there is nothing to change"
    );
}
