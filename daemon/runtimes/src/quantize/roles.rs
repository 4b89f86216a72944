//! What a matrix is for, told by its name, or else by its shape.

use crate::graph::full_precision::{FullPrecision, Use};
use crate::graph::index::{Index, is_standard};

/// What a matrix does in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The table of embeddings.
    Table,
    /// Gives the logits.
    Head,
    /// Values, perhaps with queries and keys.
    Value,
    Key,
    /// Behind attention.
    Output,
    /// The second of a feed-forward network.
    Down,
    /// Chooses experts: small and sensitive, so left alone.
    Router,
    Other,
}

const ROLES: [(Role, &[&str]); 5] = [
    (Role::Router, &["router", "/gate/", ".gate.", "gate_logits"]),
    (
        Role::Value,
        &[
            "v_proj",
            "qkv",
            "query_key_value",
            "c_attn",
            "value",
            "attention.wv",
            "kv_proj",
        ],
    ),
    (
        Role::Down,
        &[
            "down_proj",
            "mlp.c_proj",
            "mlp/c_proj",
            "fc2",
            "fc_out",
            "dense_4h_to_h",
            ".w2",
            "/w2",
        ],
    ),
    (Role::Key, &["k_proj", "attention.wk", "attn.key", "attn/key"]),
    (
        Role::Output,
        &[
            "o_proj",
            "out_proj",
            "attn.c_proj",
            "attn/c_proj",
            "attention.dense",
            "attention.wo",
        ],
    ),
];

/// Before the number of a layer.
const LAYERS: [&str; 5] = ["layers", "layer", "blocks", "block", "h"];

/// A role, and the layer if it belongs to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) role: Role,
    pub(super) layer: Option<usize>,
}

/// In the order of the matrices. Products whose names tell nothing are looked at by shape.
pub(super) fn places(index: &Index<'_>, matrices: &[FullPrecision]) -> Vec<Place> {
    let heads = heads(index);
    let mut places: Vec<Place> = matrices
        .iter()
        .map(|matrix| {
            let role = match matrix.use_ {
                Use::Rows => Role::Table,
                Use::Product if heads.contains(&matrix.node) => Role::Head,
                Use::Product => named(&matrix.name)
                    .or_else(|| named(&matrix.tensor))
                    .unwrap_or(Role::Other),
            };
            let layer = layer(&matrix.name).or_else(|| layer(&matrix.tensor));
            Place { role, layer }
        })
        .collect();
    let says_nothing = |place: &Place| matches!(place.role, Role::Other | Role::Table | Role::Head);
    if places.iter().all(says_nothing) {
        by_shape(matrices, &mut places);
    }
    places
}

/// The second matrix of a feed-forward network has more inputs than outputs; there is one per layer.
fn by_shape(matrices: &[FullPrecision], places: &mut [Place]) {
    let mut layer = 0;
    for (matrix, place) in matrices.iter().zip(places) {
        if place.role == Role::Other && matrix.columns >= 2 * matrix.rows {
            *place = Place {
                role: Role::Down,
                layer: Some(layer),
            };
            layer += 1;
        }
    }
}

fn named(name: &str) -> Option<Role> {
    let is = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    ROLES.iter().find(|(_, parts)| is(parts)).map(|(role, _)| *role)
}

fn layer(name: &str) -> Option<usize> {
    let parts: Vec<&str> = name.split(['.', '/', '_']).collect();
    parts.windows(2).find_map(|pair| {
        let number = pair[1].parse().ok().filter(|number| *number < 10_000)?;
        LAYERS.contains(&pair[0]).then_some(number)
    })
}

/// The last product before the logits, behind what converts or bounds them.
fn heads(index: &Index<'_>) -> Vec<usize> {
    let mut value = "logits";
    for _ in 0..10 {
        let Some((number, node)) = index.producer(value) else {
            break;
        };
        if is_standard(node, "MatMul") || is_standard(node, "Gemm") {
            return vec![number];
        }
        let inputs = node.input.iter().map(String::as_str);
        let Some(input) = inputs.into_iter().find(|input| index.producer(input).is_some()) else {
            break;
        };
        value = input;
    }
    Vec::new()
}

/// Whether a table is read by the ids of tokens.
pub(super) fn is_of_tokens(index: &Index<'_>, matrix: &FullPrecision) -> bool {
    let mut value = matrix.input.as_str();
    for _ in 0..6 {
        if value == "input_ids" {
            return true;
        }
        let Some((_, node)) = index.producer(value) else {
            return false;
        };
        let passes = ["Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze"];
        let Some(input) = node
            .given(0)
            .filter(|_| passes.iter().any(|name| is_standard(node, name)))
        else {
            return false;
        };
        value = input;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_exporters_are_understood() {
        for (name, role, number) in [
            ("/model/layers.3/attn/qkv_proj/MatMul", Some(Role::Value), Some(3)),
            (
                "model.layers.11.self_attn.v_proj.weight",
                Some(Role::Value),
                Some(11),
            ),
            ("model.layers.0.self_attn.k_proj.weight", Some(Role::Key), Some(0)),
            ("/model/layers.0/mlp/down_proj/MatMul", Some(Role::Down), Some(0)),
            ("transformer.h.5.mlp.c_proj.weight", Some(Role::Down), Some(5)),
            ("transformer.h.5.attn.c_proj.weight", Some(Role::Output), Some(5)),
            ("/model/layers.2/mlp/gate_proj/MatMul", None, Some(2)),
            ("/model/layers.2/moe/router/MatMul", Some(Role::Router), Some(2)),
            ("onnx::MatMul_4711", None, None),
        ] {
            assert_eq!((named(name), layer(name)), (role, number), "{name}");
        }
    }
}
