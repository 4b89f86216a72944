//! Graphs before and after, and graphs that stay.

use super::super::super::evaluate::Feed;
use super::super::super::testing::{parse, text};
use super::*;

/// A mask of its own, whatever the graph says.
struct Causal;

impl Evaluate for Causal {
    fn evaluate(&mut self, _model: &[u8], inputs: Vec<Feed>) -> Result<(Vec<i64>, Vec<f32>), String> {
        let mask = inputs
            .iter()
            .find(|feed| feed.name == "attention_mask")
            .ok_or("no mask")?;
        let ids = inputs
            .iter()
            .find(|feed| feed.name == "input_ids")
            .ok_or("no tokens")?;
        let (total, tokens) = (mask.shape[1], ids.shape[1]);
        let rows = total - tokens..total;
        let cells = rows.flat_map(|row| (0..total).map(move |column| column <= row));
        Ok((
            vec![1, 1, tokens, total],
            cells.map(|seen| f32::from(u8::from(seen))).collect(),
        ))
    }
}

/// One layer with keys repeated by `Expand`; `scores` says how they become what softmax reads.
fn layer(scores: &str) -> String {
    format!(
        "input input_ids i64[B,S]
        input attention_mask i64[B,M]
        input past_key_values.0.key f32[B,1,P,16]
        input past_key_values.0.value f32[B,1,P,16]
        output logits f32[B,S,32]
        output present.0.key f32[B,1,M,16]
        output present.0.value f32[B,1,M,16]
        constant table f32[32,32]
        constant k f32[32,16]
        constant v f32[32,16]
        constant w f32[32,32]
        integers four 0 0 -1 16
        integers twice 1 1 2 1 1
        integers joined 0 2 -1 16
        integers three 0 0 32
        integers axis 2
        integers last -1
        integers end 9223372036854775807
        number one f32 1
        number scale f32 0.25
        number low f32 -3.4e38
        number zero f32 0
        number cap f32 50
        x = Gather(table, input_ids)
        q4 = Reshape(x, four)
        q = Transpose(q4) {{perm=[0,2,1,3]}}
        k3 = MatMul(x, k)
        k4 = Reshape(k3, four)
        kt = Transpose(k4) {{perm=[0,2,1,3]}}
        v3 = MatMul(x, v)
        v4 = Reshape(v3, four)
        vt = Transpose(v4) {{perm=[0,2,1,3]}}
        kr = Neg(kt)
        present.0.key = Concat(past_key_values.0.key, kr) {{axis=-2}}
        present.0.value = Concat(past_key_values.0.value, vt) {{axis=2}}
        ku = Unsqueeze(present.0.key, axis)
        ke = Expand(ku, twice)
        kj = Reshape(ke, joined)
        vu = Unsqueeze(present.0.value, axis)
        ve = Expand(vu, twice)
        vj = Reshape(ve, joined)
        kk = Transpose(kj) {{perm=[0,1,3,2]}}
        m = MatMul(q, kk)
        c = Mask(input_ids, attention_mask)
        {scores}
        p = Softmax(masked) {{axis=-1}}
        o = MatMul(p, vj)
        ot = Transpose(o) {{perm=[0,2,1,3]}}
        of = Reshape(ot, three)
        logits = MatMul(of, w)"
    )
}

const PLAIN: &str = "s = Mul(m, scale)\nmasked = Where(c, s, low)";

fn changed(before: &str) -> Result<(Graph, Plan), String> {
    let (mut graph, mut plan) = (parse(before), Plan::default());
    let changed = decomposed(&mut graph, &mut plan, Some(&mut Causal));
    changed
        .map(|_| (graph, plan))
        .map_err(|refusal| refusal.to_string())
}

#[test]
fn scores_mask_and_past_go() {
    let (graph, plan) = changed(&layer(PLAIN)).unwrap();
    assert_eq!(
        text(&graph),
        "x = Gather(table, input_ids)
q4 = Reshape(x, four)
k3 = MatMul(x, k)
k4 = Reshape(k3, four)
kt = Transpose(k4) {perm=[0, 2, 1, 3]}
v3 = MatMul(x, v)
v4 = Reshape(v3, four)
kr = Neg(kt)
airunner/q4 = Reshape(q4, airunner/tokens_first)
airunner/kr = Transpose(kr) {perm=[0, 2, 1, 3]}
airunner/airunner/kr = Reshape(airunner/kr, airunner/tokens_first)
airunner/v4 = Reshape(v4, airunner/tokens_first)
of = airunner.PagedAttention(airunner/q4, airunner/airunner/kr, airunner/v4) {layer=0, query_heads=2, \
key_value_heads=1, head_size=16, scale=0.25, softcap=0.0, window=-1, rotary=0, interleaved=0, smooth_softmax=0}
logits = MatMul(of, w)"
    );
    let inputs: Vec<&str> = graph
        .proto()
        .input
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    assert_eq!(inputs, ["input_ids"]);
    assert_eq!(plan.attention.len(), 1);
}

#[test]
fn scores_are_read_in_every_form() {
    for (scores, scale, softcap) in [
        ("s = Div(m, cap)\nmasked = Where(c, s, low)", 0.02, 0.0),
        ("b = Where(c, zero, low)\nmasked = Add(m, b)", 1.0, 0.0),
        (
            "s = Mul(scale, m)\nb = Where(c, zero, low)\nmasked = Add(b, s)",
            0.25,
            0.0,
        ),
        (
            "h = Shape(q)\nl = Slice(h, last, end)\nf = Cast(l) {to=1}\nr = Sqrt(f)\ni = Div(one, r)
            s = Mul(m, i)\nmasked = Where(c, s, low)",
            0.25,
            0.0,
        ),
        (
            "s = Mul(m, scale)\nd = Div(s, cap)\nt = Tanh(d)\nu = Mul(t, cap)\nmasked = Where(c, u, low)",
            0.25,
            50.0,
        ),
    ] {
        let (graph, _) = changed(&layer(scores)).unwrap();
        let node = graph
            .proto()
            .node
            .iter()
            .find(|node| node.op_type == "PagedAttention")
            .unwrap();
        assert_eq!(node.float("scale"), Some(scale), "{scores}");
        assert_eq!(node.float("softcap"), Some(softcap), "{scores}");
    }
}

#[test]
fn other_forms_stay() {
    let plain = layer(PLAIN);
    for (before, reason) in [
        (layer("masked = Mul(m, scale)"), "not an attention"),
        (layer("s = Neg(m)\nmasked = Where(c, s, low)"), "not an attention"),
        // A scale after the cap.
        (
            layer(
                "d = Div(m, cap)\nt = Tanh(d)\nu = Mul(t, cap)\ns = Mul(u, scale)\nmasked = Where(c, s, low)",
            ),
            "not an attention",
        ),
        (
            layer("s = Mul(m, scale)\nmasked = Where(c, low, s)"),
            "not causal",
        ),
        (plain.replace("axis=-2", "axis=1"), "not an attention"),
        (
            plain.replace("(past_key_values.0.key, kr)", "(kr, past_key_values.0.key)"),
            "not an attention",
        ),
        (
            plain.replace("Mask(input_ids, attention_mask)", "Mask(input_ids, x)"),
            "cannot be computed",
        ),
        (
            plain.replace("MatMul(of, w)", "Add(of, attention_mask)"),
            "not an attention",
        ),
        (
            plain.replace(
                "x = Gather(table, input_ids)",
                "g = Gather(table, input_ids)\nx = Add(g, attention_mask)",
            ),
            "other inputs",
        ),
    ] {
        let refusal = changed(&before).unwrap_err();
        assert!(refusal.contains(reason), "{reason}: {refusal}");
    }
    let refusal = decomposed(&mut parse(&plain), &mut Plan::default(), None).unwrap_err();
    assert_eq!(refusal, Refusal::Graph("masks cannot be computed here"));
}
