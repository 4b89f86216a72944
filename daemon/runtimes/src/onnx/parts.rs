//! What the memory of a graph can be told from: its weights, and the operators that read them.
//! Names are those of the file in place; nothing is copied.

use std::collections::HashMap;

use super::Operator;
use super::wire::{Fields, Payload, WireError};

/// Inputs of a node that are looked at.
const INPUTS: usize = 4;

/// Weights by name, and the operators that tell how they are kept, in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Parts<'m> {
    pub(crate) initializers: HashMap<&'m str, Initializer>,
    pub(crate) nodes: Vec<(Kind, Node<'m>)>,
    /// Constants without a name, bytes.
    pub(crate) unnamed_bytes: u64,
}

/// A weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Initializer {
    /// `TensorProto.DataType`.
    pub(crate) dtype: i64,
    pub(crate) elements: u64,
    /// The last two dimensions; 0 where there are fewer.
    pub(crate) last_two: [u64; 2],
    pub(crate) bytes: u64,
    pub(crate) is_external: bool,
}

/// What an operator does with weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Multiplies with floating point numbers.
    MatMul,
    /// Multiplies with blocks of few bits.
    MatMulNBits,
    /// Multiplies with bytes; the place of the weights among the inputs.
    MatMulInteger(usize),
    /// Takes a row per token.
    Gather,
    /// Gives its first input on in another form.
    Reshaping {
        /// With rows and columns exchanged.
        is_turned: bool,
    },
    GroupQueryAttention,
}

/// A node, as far as it is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Node<'m> {
    pub(crate) inputs: [&'m str; INPUTS],
    inputs_read: usize,
    pub(crate) output: Option<&'m str>,
    pub(crate) numbers: Numbers,
}

/// Attributes that matter here; 0 where they are missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) rows: u64,
    pub(crate) columns: u64,
    pub(crate) bits: u64,
    pub(crate) block: u64,
    pub(crate) accuracy_level: u64,
    pub(crate) heads: u64,
    /// The weights have a row per result.
    pub(crate) is_turned: bool,
    /// Attention that the fast path does not do: a window, or a soft cap.
    pub(crate) is_special: bool,
}

impl<'m> Node<'m> {
    pub(crate) fn input(&mut self, name: &'m str) {
        if let Some(place) = self.inputs.get_mut(self.inputs_read) {
            *place = name;
            self.inputs_read += 1;
        }
    }

    pub(crate) fn output(&mut self, name: &'m str) {
        self.output.get_or_insert(name);
    }

    pub(super) fn attribute(&mut self, message: &[u8]) -> Result<(), WireError> {
        let (mut name, mut value, mut is_zero) = ("", 0, true);
        for field in Fields::of(message) {
            match field? {
                (1, payload) => name = payload.text()?,
                (2, Payload::Fixed(bits)) => is_zero = bits.iter().all(|&byte| byte & 0x7f == 0),
                (3, Payload::Number(number)) => value = number,
                _ => {}
            }
        }
        let positive = u64::try_from(value.cast_signed()).unwrap_or(0);
        let numbers = &mut self.numbers;
        match name {
            "N" => numbers.rows = positive,
            "K" => numbers.columns = positive,
            "bits" => numbers.bits = positive,
            "block_size" => numbers.block = positive,
            "accuracy_level" => numbers.accuracy_level = positive,
            "num_heads" => numbers.heads = positive,
            "transB" => numbers.is_turned = positive > 0,
            "local_window_size" => numbers.is_special |= positive > 0,
            "softcap" => numbers.is_special |= !is_zero,
            _ => {}
        }
        Ok(())
    }
}

impl<'m> Parts<'m> {
    pub(super) fn add_initializer(&mut self, name: &'m str, initializer: Initializer) {
        if name.is_empty() {
            self.unnamed_bytes = self.unnamed_bytes.saturating_add(initializer.bytes);
        } else {
            self.initializers.insert(name, initializer);
        }
    }

    pub(super) fn add_node(&mut self, operator: &Operator, node: Node<'m>) {
        if let Some(kind) = Kind::of(operator) {
            self.nodes.push((kind, node));
        }
    }
}

impl Kind {
    fn of(operator: &Operator) -> Option<Self> {
        match (operator.domain.as_str(), operator.name.as_str()) {
            ("" | "ai.onnx", "MatMul" | "Gemm") | ("com.microsoft", "FusedMatMul") => Some(Self::MatMul),
            ("com.microsoft", "MatMulNBits") => Some(Self::MatMulNBits),
            ("" | "ai.onnx", "MatMulInteger")
            | ("com.microsoft", "DynamicQuantizeMatMul" | "MatMulIntegerToFloat") => {
                Some(Self::MatMulInteger(1))
            }
            ("" | "ai.onnx", "QLinearMatMul") => Some(Self::MatMulInteger(3)),
            ("" | "ai.onnx", "Gather") | ("com.microsoft", "GatherBlockQuantized") => Some(Self::Gather),
            ("" | "ai.onnx", "Transpose") => Some(Self::Reshaping { is_turned: true }),
            ("" | "ai.onnx", "Cast" | "DequantizeLinear" | "Identity") => {
                Some(Self::Reshaping { is_turned: false })
            }
            ("com.microsoft", "GroupQueryAttention") => Some(Self::GroupQueryAttention),
            _ => None,
        }
    }
}
