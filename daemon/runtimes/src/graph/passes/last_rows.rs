//! Logits for the rows that are asked for: the hidden states go through a `Gather` on the axis
//! of tokens before the output head, with the input `airunner.rows` (int64 [R]), so that the
//! logits are [1, R, vocabulary]. Where an export keeps only the last rows itself, that goes.

use super::super::edit::{Build, Edits, Graph, through_identities};
use super::super::full_precision::is_weight;
use super::super::index::{Index, is_microsoft, is_ours, is_standard};
use super::super::plan::Plan;
use super::super::proto::NodeProto;
use super::super::{Changed, ROWS_INPUT, Refusal};
use crate::onnx::dtype;

const LOGITS: &str = "logits";
const TOKEN_AXIS: i64 = 1;
/// Nodes between the head and the logits that are looked at: a soft cap, a scale, a conversion.
const MAX_AFTER_HEAD: usize = 12;
/// An export's own count of rows to keep.
const KEPT_INPUT: [&str; 2] = ["num_logits_to_keep", "logits_to_keep"];

pub(in super::super) fn last_rows(graph: &mut Graph, plan: &mut Plan) -> Result<Changed, Refusal> {
    let index = graph.index();
    if index.is_input(ROWS_INPUT) {
        return Err(Refusal::Nothing);
    }
    if graph.sizes_of(LOGITS).is_some_and(|sizes| sizes.len() != 3) {
        return Err(Refusal::Graph("the logits are not [batch, tokens, vocabulary]"));
    }
    let head = head(&index)?;
    let (place, states) = before_norm(&index, hidden_states(&index, head)?);
    let edited = place.unwrap_or(head);
    let mut node = index.nodes()[edited].clone();
    drop(index);
    let mut edits = Edits::default();
    for (input, state) in states {
        let gathered = graph.fresh(&state);
        let gather = Build::standard("Gather")
            .input(&state)
            .input(ROWS_INPUT)
            .integer("axis", TOKEN_AXIS)
            .output(&gathered);
        node.input[input] = gathered;
        edits.put_before(edited, [gather]);
    }
    edits.replace(edited, [node]);
    graph.add_input(ROWS_INPUT, dtype::INT64, &["rows"]);
    graph.apply(edits);
    graph.remove_unread_inputs(|name| KEPT_INPUT.contains(&name));
    graph.name_output_dimension(LOGITS, 1, "rows");
    plan.selects_rows = true;
    Ok(Changed(1))
}

fn is_matmul(node: &NodeProto) -> bool {
    is_standard(node, "MatMul") || is_microsoft(node, "MatMulNBits") || is_ours(node, "QuantizedMatMul")
}

/// The product that makes the logits, through what works on each logit alone.
fn head(index: &Index<'_>) -> Result<usize, Refusal> {
    const NO_HEAD: Refusal = Refusal::Graph("the logits do not come from a product with a matrix");
    if !index.is_output(LOGITS) || !index.uses(LOGITS).is_empty() {
        return Err(Refusal::Graph("there are no logits, or they are read again"));
    }
    let mut value = LOGITS;
    for _ in 0..MAX_AFTER_HEAD {
        if value != LOGITS && index.sole_use(value).is_none() {
            return Err(NO_HEAD);
        }
        let (number, node) = index.producer(value).ok_or(NO_HEAD)?;
        if is_matmul(node) {
            let is_head = !is_standard(node, "MatMul") || node.given(1).is_some_and(|b| is_weight(index, b));
            return if is_head { Ok(number) } else { Err(NO_HEAD) };
        }
        value = given_on(index, node).ok_or(NO_HEAD)?;
    }
    Err(NO_HEAD)
}

/// What a node that treats every logit alike computes with.
fn given_on<'g>(index: &Index<'g>, node: &'g NodeProto) -> Option<&'g str> {
    let is = |names: &[&str]| names.iter().any(|name| is_standard(node, name));
    if is(&["Identity", "Cast", "Tanh"]) {
        return node.given(0);
    }
    let (left, right) = (node.given(0)?, node.given(1)?);
    let has_numbers = |value| index.is_constant(value);
    match (has_numbers(left), has_numbers(right)) {
        (false, true) if is(&["Mul", "Div", "Add", "Sub"]) => Some(left),
        (true, false) if is(&["Mul", "Add"]) => Some(right),
        _ => None,
    }
}

/// What the head multiplies, for every token: rows that an export leaves out come back.
fn hidden_states<'g>(index: &Index<'g>, head: usize) -> Result<&'g str, Refusal> {
    let node = &index.nodes()[head];
    let value = node
        .given(0)
        .ok_or_else(|| Refusal::node(node, "it has no input"))?;
    let value = through_identities(index, value);
    let Some((_, node)) = index.producer(value) else {
        return Ok(value);
    };
    if is_standard(node, "Slice") {
        return kept_last(index, node);
    }
    if is_standard(node, "Unsqueeze") {
        return pruned(index, node).ok_or_else(|| Refusal::node(node, "it selects tokens in an unknown way"));
    }
    if is_standard(node, "Gather") || is_standard(node, "GatherND") || is_standard(node, "Reshape") {
        return Err(Refusal::node(node, "it selects tokens in an unknown way"));
    }
    Ok(value)
}

/// `hidden[:, -num_logits_to_keep:, :]`.
fn kept_last<'g>(index: &Index<'g>, slice: &'g NodeProto) -> Result<&'g str, Refusal> {
    let axes = slice.given(3).and_then(|axes| index.integers(axes));
    let begins = slice.given(1).is_some_and(|starts| is_count(index, starts));
    match slice.given(0) {
        Some(states) if begins && axes.as_deref() == Some(&[TOKEN_AXIS]) => Ok(states),
        _ => Err(Refusal::node(slice, "it selects tokens in an unknown way")),
    }
}

/// Whether a value is the count of rows to keep, negated and in some shape.
fn is_count(index: &Index<'_>, value: &str) -> bool {
    let mut value = value;
    for _ in 0..6 {
        if KEPT_INPUT.contains(&value) {
            return index.is_input(value);
        }
        let Some((_, node)) = index.producer(value) else {
            return false;
        };
        let is_shaping = ["Neg", "Unsqueeze", "Squeeze", "Reshape", "Cast", "Mul"]
            .iter()
            .any(|name| is_standard(node, name));
        let input = node.input.iter().find(|input| !index.is_constant(input));
        match input {
            Some(input) if is_shaping => value = input,
            _ => return false,
        }
    }
    false
}

/// `Unsqueeze(Gather(hidden, -1, axis=1), 1)`.
fn pruned<'g>(index: &Index<'g>, unsqueeze: &'g NodeProto) -> Option<&'g str> {
    let (_, gather) = index.producer(unsqueeze.given(0)?)?;
    let is_last = is_standard(gather, "Gather")
        && gather.integer("axis") == Some(TOKEN_AXIS)
        && index.integers(gather.given(1)?)? == [-1]
        && index.integers(unsqueeze.given(1)?)? == [TOKEN_AXIS];
    gather.given(0).filter(|_| is_last)
}

/// Where to gather: before a last norm if only the head reads it, else at the head. Returns the
/// node whose inputs are gathered, if it is not the head, and those inputs.
fn before_norm(index: &Index<'_>, states: &str) -> (Option<usize>, Vec<(usize, String)>) {
    let norm = index.producer(states).filter(|(_, node)| {
        // One output, and one reader: the head, or the selection of tokens that goes.
        let outputs = node.output.iter().filter(|output| !output.is_empty()).count();
        outputs == 1 && index.uses(states).len() == 1 && !index.is_output(states)
    });
    let Some((number, node)) = norm else {
        return (None, vec![(0, states.to_owned())]);
    };
    let read_by_head = index
        .uses(states)
        .iter()
        .all(|&reader| is_matmul(&index.nodes()[reader]));
    let axis = node.integer("axis").unwrap_or(-1);
    let weights_after = |states: usize| {
        let mut others = node.input.iter().skip(states).filter(|input| !input.is_empty());
        others.all(|input| index.is_constant(input))
    };
    let is_norm = [
        "SimplifiedLayerNormalization",
        "LayerNormalization",
        "RMSNormalization",
    ]
    .iter()
    .any(|name| is_standard(node, name) || is_microsoft(node, name));
    let is_sum_and_norm = ["SkipSimplifiedLayerNormalization", "SkipLayerNormalization"]
        .iter()
        .any(|name| is_microsoft(node, name));
    let gathered = |count: usize| {
        let inputs = node.input.iter().take(count).cloned().enumerate();
        (Some(number), inputs.collect())
    };
    if read_by_head && is_norm && axis == -1 && weights_after(1) {
        return gathered(1);
    }
    if read_by_head && is_sum_and_norm && weights_after(2) {
        return gathered(2);
    }
    (None, vec![(0, states.to_owned())])
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{after, parse, refused, text};
    use super::*;

    fn graph(body: &str) -> String {
        format!(
            "input x f32[1,T,32]
            input p f32[1,T,32]
            input num_logits_to_keep i64[]
            output logits f32[1,T,64]
            constant w f32[32,64]
            constant n f32[32]
            number cap f32 30
            number last i64 -1
            integers one 1
            integers zero 0
            integers end 9223372036854775807
            {body}"
        )
    }

    #[test]
    fn rows_are_taken_before_the_head() {
        let before =
            graph("h = Neg(x)\nm = MatMul(h, w)\nd = Div(m, cap)\nt = Tanh(d)\nlogits = Mul(t, cap)");
        assert_eq!(
            after(&before, last_rows),
            "h = Neg(x)
airunner/h = Gather(h, airunner.rows) {axis=1}
m = MatMul(airunner/h, w)
d = Div(m, cap)
t = Tanh(d)
logits = Mul(t, cap)"
        );
    }

    #[test]
    fn inputs_and_shapes_are_told() {
        let mut changed = parse(&graph("h = Neg(x)\nlogits = MatMul(h, w)"));
        let mut plan = Plan::default();
        last_rows(&mut changed, &mut plan).unwrap();
        assert!(plan.selects_rows);
        assert_eq!(changed.sizes_of("logits").unwrap(), [Some(1), None, Some(64)]);
        assert_eq!(changed.sizes_of(ROWS_INPUT).unwrap(), [None]);
        assert_eq!(changed.dtype_of(ROWS_INPUT), dtype::INT64);
        assert_eq!(changed.dtype_of("num_logits_to_keep"), 0);
    }

    #[test]
    fn a_norm_before_the_head_works_on_the_rows_only() {
        let before = graph(
            "h = SimplifiedLayerNormalization(x, n) {axis=-1}
            logits = ms.MatMulNBits(h, w, n) {K=32, N=64}",
        );
        assert_eq!(
            after(&before, last_rows),
            "airunner/x = Gather(x, airunner.rows) {axis=1}
h = SimplifiedLayerNormalization(airunner/x, n) {axis=-1}
logits = ms.MatMulNBits(h, w, n) {K=32, N=64}"
        );
    }

    #[test]
    fn both_summands_of_a_norm_are_gathered() {
        let before = graph("h = ms.SkipSimplifiedLayerNormalization(x, p, n)\nlogits = MatMul(h, w)");
        assert_eq!(
            after(&before, last_rows),
            "airunner/x = Gather(x, airunner.rows) {axis=1}
airunner/p = Gather(p, airunner.rows) {axis=1}
h = ms.SkipSimplifiedLayerNormalization(airunner/x, airunner/p, n)
logits = MatMul(h, w)"
        );
    }

    #[test]
    fn a_norm_that_is_read_elsewhere_stays_whole() {
        let before = graph(
            "h, , , s = ms.SkipSimplifiedLayerNormalization(x, p, n)
            logits = MatMul(h, w)",
        );
        assert!(after(&before, last_rows).contains("airunner/h = Gather(h, airunner.rows)"));
    }

    #[test]
    fn the_selection_of_an_export_goes() {
        let pruned =
            graph("h = Neg(x)\ng = Gather(h, last) {axis=1}\nu = Unsqueeze(g, one)\nlogits = MatMul(u, w)");
        let kept = graph(
            "h = Neg(x)\nc = Neg(num_logits_to_keep)\nb = Unsqueeze(c, zero)
            k = Slice(h, b, end, one)\nlogits = MatMul(k, w)",
        );
        for before in [pruned, kept] {
            let mut changed = parse(&before);
            last_rows(&mut changed, &mut Plan::default()).unwrap();
            assert_eq!(
                text(&changed),
                "h = Neg(x)
airunner/h = Gather(h, airunner.rows) {axis=1}
logits = MatMul(airunner/h, w)"
            );
            assert!(
                !changed
                    .proto()
                    .input
                    .iter()
                    .any(|input| input.name == "num_logits_to_keep")
            );
        }
    }

    #[test]
    fn what_is_not_a_head_is_left() {
        let turned = "h = Neg(x)\nc = Cast(v) {to=1}\nv2 = Transpose(c) {perm=[1,0]}\nlogits = MatMul(h, v2)";
        let turned = format!("{}\nconstant v f16[64,32]", graph(turned));
        assert!(after(&turned, last_rows).contains("logits = MatMul(airunner/h, v2)"));
        for (body, reason) in [
            ("logits = MatMul(x, p)", "product with a matrix"),
            ("logits = Softmax(x)", "product with a matrix"),
            (
                "h = Gather(x, one) {axis=1}\nlogits = MatMul(h, w)",
                "unknown way",
            ),
            (
                "h = Slice(x, last, end, one)\nlogits = MatMul(h, w)",
                "unknown way",
            ),
        ] {
            let refusal = refused(&graph(body), last_rows);
            assert!(refusal.contains(reason), "{body}: {refusal}");
        }
    }
}
