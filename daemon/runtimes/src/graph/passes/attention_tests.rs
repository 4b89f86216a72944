//! Graphs before and after, and graphs that stay.

use super::super::super::testing::{after, parse, plan_after, refused, text};
use super::*;

fn graph(kind: &str, query: &str, attributes: &str, body: &str) -> String {
    format!(
        "input input_ids i64[B,S]
        input attention_mask i64[B,M]
        input position_ids i64[B,S]
        input past_key_values.0.key {kind}[B,1,P,16]
        input past_key_values.0.value {kind}[B,1,P,16]
        output logits {kind}[B,S,32]
        output present.0.key {kind}[B,1,M,16]
        output present.0.value {kind}[B,1,M,16]
        constant table {kind}[32,64]
        constant w {kind}[32,32]
        constant cos {kind}[8,8]
        constant sin {kind}[8,8]
        constant sink {kind}[2]
        constant bias {kind}[1,1,8,8]
        integers one 1
        number at i64 1
        sum = ReduceSum(attention_mask, one) {{keepdims=0}}
        less = Sub(sum, one)
        lengths = Cast(less) {{to=6}}
        shape = Shape(attention_mask)
        long = Gather(shape, at)
        total = Cast(long) {{to=6}}
        x = Gather(table, input_ids)
        a, present.0.key, present.0.value = ms.GroupQueryAttention({query}, past_key_values.0.key, \
         past_key_values.0.value, lengths, total{body}) {{num_heads=2, kv_num_heads=1{attributes}}}
        logits = MatMul(a, w)"
    )
}

#[test]
fn past_present_and_mask_go() {
    let before = graph(
        "f32",
        "x, , ",
        ", do_rotary=1, scale=0.25, local_window_size=16",
        ", cos, sin",
    );
    let mut changed = parse(&before);
    let mut plan = Plan::default();
    attention(&mut changed, &mut plan).unwrap();
    assert_eq!(
        text(&changed),
        "x = Gather(table, input_ids)
a = airunner.PagedAttention(x, , , cos, sin) {layer=0, query_heads=2, key_value_heads=1, head_size=16, scale=0.25, \
softcap=0.0, window=16, rotary=1, interleaved=0, smooth_softmax=0}
logits = MatMul(a, w)"
    );
    let inputs: Vec<&str> = changed
        .proto()
        .input
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    // Where nothing reads positions, a caller may still give them: it finds out from the inputs.
    assert_eq!(inputs, ["input_ids", "position_ids"]);
    assert_eq!(changed.proto().output.len(), 1);
    assert_eq!(
        plan.attention,
        [AttentionLayer {
            query_heads: 2,
            key_value_heads: 1,
            head_size: 16,
            window: Some(16),
        }]
    );
    let model = changed.into_model();
    assert!(
        model
            .opset_import
            .iter()
            .any(|opset| opset.domain == "airunner" && opset.version == 1)
    );
}

#[test]
fn half_floats_are_converted_around() {
    let before = graph("f16", "x, x, x", ", smooth_softmax=1", ", , , , , sink");
    assert_eq!(
        after(&before, attention),
        "x = Gather(table, input_ids)
airunner/x = Cast(x) {to=1}
airunner/x.1 = Cast(x) {to=1}
airunner/x.2 = Cast(x) {to=1}
airunner/sink = Cast(sink) {to=1}
airunner/a = airunner.PagedAttention(airunner/x, airunner/x.1, airunner/x.2, , , airunner/sink) {layer=0, \
query_heads=2, key_value_heads=1, head_size=16, scale=0.0, softcap=0.0, window=-1, rotary=0, interleaved=0, \
smooth_softmax=1}
a = Cast(airunner/a) {to=10}
logits = MatMul(a, w)"
    );
}

#[test]
fn positions_that_are_fed_are_honoured_by_the_engine() {
    let before = graph("f32", "x, , ", ", do_rotary=1", ", cos, sin, position_ids");
    assert!(after(&before, attention).contains("PagedAttention(x, , , cos, sin)"));
}

#[test]
fn the_size_of_heads_is_told_from_the_matrix_after_it() {
    let before = graph("f32", "x, , ", "", "")
        .replace("P,16]", "P,D]")
        .replace("M,16]", "M,D]");
    assert_eq!(plan_after(&before, attention).attention[0].head_size, 16);
}

#[test]
fn one_that_cannot_be_changed_rules_all_out() {
    let plain = graph("f32", "x, , ", "", "");
    for (before, reason) in [
        (graph("f32", "x, , ", "", ", , , , bias"), "bias for every pair"),
        (graph("f32", "x, , ", "", ", , , , , , sink, sink"), "quantized"),
        (
            graph("f32", "x, , ", ", k_quant_type=\"PER_TENSOR\"", ""),
            "quantized",
        ),
        (graph("f32", "x, , ", ", do_rotary=1", ""), "without sines"),
        (
            graph("f32", "x, , ", ", do_rotary=1", ", cos, sin, less"),
            "positions are computed",
        ),
        (graph("f32", "x, x, ", "", ""), "key without a value"),
        (graph("u8", "x, , ", "", ""), "does not hold floats"),
        (
            plain.replace("MatMul(a, w)", "MatMul(a, present.0.key)"),
            "present is no output",
        ),
        (
            plain.replace("MatMul(a, w)", "MatMul(a, past_key_values.0.key)"),
            "read elsewhere",
        ),
        (plain.replace("MatMul(a, w)", "Add(a, less)"), "other inputs"),
        (plain.replace("MatMul(a, w)", "Softmax(a)"), "mix tokens"),
        (format!("input past_conv.1 f32[1,2]\n{plain}"), "other inputs"),
    ] {
        let refusal = refused(&before, attention);
        assert!(refusal.contains(reason), "{reason}: {refusal}");
    }
}
