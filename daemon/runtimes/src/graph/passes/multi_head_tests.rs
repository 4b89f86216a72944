use super::super::super::evaluate::Feed;
use super::super::super::testing::{parse, text};
use super::*;

fn graph(attention: &str) -> String {
    format!(
        "input input_ids i64[B,S]
        input attention_mask i64[B,M]
        input position_ids i64[B,S]
        input offset i64[1]
        input past_key_values.0.key f32[B,2,P,16]
        input past_key_values.0.value f32[B,2,P,16]
        output logits f32[B,S,32]
        output present.0.key f32[B,2,M,16]
        output present.0.value f32[B,2,M,16]
        constant table f32[32,32]
        constant w f32[32,32]
        constant v f32[32,16]
        constant cos f32[8,8]
        constant sin f32[8,8]
        constant other f32[8,8]
        number low f32 -3.4e38
        x = Gather(table, input_ids)
        q = MatMul(x, w)
        k = MatMul(x, w)
        n = MatMul(x, v)
        rq = ms.RotaryEmbedding(q, position_ids, cos, sin)
        rk = ms.RotaryEmbedding(k, position_ids, cos, sin)
        ro = ms.RotaryEmbedding(k, position_ids, cos, other)
        rp = ms.RotaryEmbedding(q, offset, cos, sin)
        rs = ms.RotaryEmbedding(k, offset, cos, sin)
        m = Cast(attention_mask) {{to=1}}
        bias = Mul(m, low)
        {attention}
        logits = MatMul(a, w)"
    )
}

fn attended(inputs: &str, attributes: &str) -> String {
    graph(&format!(
        "a, present.0.key, present.0.value = ms.MultiHeadAttention({inputs}, past_key_values.0.key, \
         past_key_values.0.value) {{num_heads=2{attributes}}}"
    ))
}

/// What a mask says, whatever the graph says.
struct Says(fn(i64, i64) -> bool);

impl Evaluate for Says {
    fn evaluate(&mut self, _model: &[u8], inputs: Vec<Feed>) -> Result<(Vec<i64>, Vec<f32>), String> {
        let mask = inputs.iter().find(|feed| feed.name == "attention_mask");
        let total = mask.ok_or("no mask")?.shape[1];
        let tokens = match total {
            5 => 5,
            10 => 3,
            _ => 2,
        };
        let cells = (total - tokens..total).flat_map(|row| (0..total).map(move |column| (row, column)));
        let values = cells.map(|(row, column)| if self.0(row, column) { 0.0 } else { -1e9 });
        Ok((vec![1, 1, tokens, total], values.collect()))
    }
}

fn changed(before: &str, says: fn(i64, i64) -> bool) -> Result<(String, Plan), String> {
    let (mut graph, mut plan) = (parse(before), Plan::default());
    match multi_head(&mut graph, &mut plan, Some(&mut Says(says))) {
        Ok(_) => Ok((text(&graph), plan)),
        Err(refusal) => Err(refusal.to_string()),
    }
}

#[test]
fn a_bias_that_hides_what_comes_later_makes_it_causal() {
    let (text, plan) = changed(&attended("rq, rk, q, , , bias", ", scale=0.5"), |row, column| {
        column <= row
    })
    .unwrap();
    assert!(
        text.contains(
            "a = airunner.PagedAttention(q, k, q, cos, sin) {layer=0, query_heads=2, key_value_heads=2, \
             head_size=16, scale=0.5, softcap=0.0, window=-1, rotary=1, interleaved=0, smooth_softmax=0}"
        ),
        "{text}"
    );
    assert!(
        !text.contains("RotaryEmbedding") && !text.contains("attention_mask"),
        "{text}"
    );
    assert_eq!(plan.attention[0].window, None);
}

#[test]
fn a_bias_may_be_a_window() {
    let near = |row: i64, column: i64| column <= row && column > row - 4;
    let (_, plan) = changed(&attended("q, k, q, , , bias", ""), near).unwrap();
    assert_eq!(plan.attention[0].window, Some(4));
}

#[test]
fn an_attribute_makes_it_causal_too() {
    let before = attended("q, k, q, , , ", ", unidirectional=1");
    let (mut graph, mut plan) = (parse(&before), Plan::default());
    multi_head(&mut graph, &mut plan, None).unwrap();
    assert!(
        text(&graph).contains("PagedAttention(q, k, q) {"),
        "{}",
        text(&graph)
    );
}

#[test]
fn other_attention_stays() {
    let one = ", unidirectional=1";
    for (inputs, attributes, reason) in [
        ("q, k, q, , , ", "", "every token sees"),
        ("q, k, q, w, , ", one, "adds to query"),
        ("q, k, q, , m, ", one, "hides what fills"),
        ("q, k, , , , ", one, "packed"),
        ("q, k, n, , , ", one, "another width"),
        ("rq, k, q, , , ", one, "only one"),
        ("rq, ro, q, , , ", one, "not rotated alike"),
        ("rp, rs, q, , , ", one, "positions"),
        ("rq, rk, rq, , , ", one, "not rotated alike"),
    ] {
        let refusal = changed(&attended(inputs, attributes), |_, _| true).unwrap_err();
        assert!(refusal.contains(reason), "{inputs}: {refusal}");
    }
    let causal = attended("q, k, q, , , bias", "");
    for (before, reason) in [
        (causal.replace("num_heads=2", "num_heads=4"), "other heads"),
        (
            causal.replace(
                "P,16]\n        input past_key_values.0.value f32[B,2,P,16]",
                "P,16]\n        input past_key_values.0.value f32[B,2,P,8]",
            ),
            "other heads",
        ),
        (
            causal.replace(
                "past_key_values.0.key, past_key_values.0.value)",
                "past_key_values.0.key, past_key_values.0.key)",
            ),
            "read elsewhere",
        ),
        (
            causal.replace("past_key_values.0.value)", "past_key_values.0.value, offset)"),
            "another kind",
        ),
    ] {
        let refusal = changed(&before, |row, column| column <= row).unwrap_err();
        assert!(refusal.contains(reason), "{reason}: {refusal}");
    }
    assert!(changed(&causal, |_, _| true).unwrap_err().contains("not causal"));
    let (mut graph, mut plan) = (parse(&causal), Plan::default());
    assert!(
        multi_head(&mut graph, &mut plan, None).is_err(),
        "nobody computes masks"
    );
}
