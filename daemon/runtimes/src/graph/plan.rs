//! What the operators of a rewritten graph need beside it.

use super::tensor::TensorRef;

/// Filled by the passes; executed by who provides the operators.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Matrices to pack, each under a key that nodes name in their attribute `weights`.
    pub packs: Vec<PackTask>,
    /// Whether the graph has the input [`super::ROWS_INPUT`], and logits for these rows only.
    pub selects_rows: bool,
    /// In the order of their attribute `layer`; empty where attention stays as it is.
    pub attention: Vec<AttentionLayer>,
}

/// Quantized matrices to pack as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackTask {
    /// Unique in the plan; of letters, digits and dots.
    pub key: String,
    pub arrangement: Arrangement,
    pub sources: Vec<Source>,
    /// Inputs of a product, K.
    pub columns: u64,
    /// Columns that share a scale.
    pub block: u64,
    pub bits: u64,
}

impl PackTask {
    /// Results of a product with the packed matrix, as far as it is stacked.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.sources.iter().map(|source| source.rows).sum()
    }
}

/// How the rows of several sources lie in the packed matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// One source after the other.
    Stacked,
    /// A row of each in turn: gate and up.
    Interleaved,
}

/// How the weights of a source lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As those of `MatMulNBits`, the lowest bits first: weights uint8
    /// `[rows, blocks, block * bits / 8]`, scales `[rows, blocks]`, zero points uint8
    /// `[rows, ceil(blocks * bits / 8)]`.
    Blocks,
    /// As those of `MatMulInteger` and `DequantizeLinear`: weights `[columns, rows]` of uint8, int8,
    /// uint4 or int4; scales and zero points one for all, one for each row, or one for each row of
    /// each `block` of columns, `[blocks, rows]`. A `block` of 0 is all columns.
    Columns { block: u64 },
    /// The same with weights `[rows, columns]` and `[rows, blocks]`.
    Rows { block: u64 },
    /// As those of `MatMulBnb4`: weights `[rows, columns / 2]`, each half of a byte the place of a
    /// number in a book, the upper half first; scales `[rows, blocks]` of the greatest numbers. The
    /// task has 8 bits: numbers of a book are as exact as that.
    Codes(CodeBook),
}

/// The 16 numbers of a block, between -1 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeBook {
    /// Floating point numbers of 4 bits.
    Fp4,
    /// As probable as each other where weights are distributed normally.
    Nf4,
}

impl CodeBook {
    /// In 127ths: 1 is exact, and the others are as near as the rounding of 8 bits.
    pub(crate) const fn numbers(self) -> [i8; 16] {
        match self {
            Self::Fp4 => [
                0, 1, 85, 127, 42, 64, 21, 32, 0, -1, -85, -127, -42, -64, -21, -32,
            ],
            Self::Nf4 => [
                -127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127,
            ],
        }
    }
}

/// One quantized matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub weights: TensorRef,
    /// float32, float16 or bfloat16.
    pub scales: TensorRef,
    /// Without them it is the middle of the range: 8 or 128, or 0 where weights have a sign.
    pub zero_points: Option<TensorRef>,
    pub rows: u64,
    pub form: Form,
}

impl Source {
    fn is_same_data(&self, other: &Self) -> bool {
        let zero_points = match (&self.zero_points, &other.zero_points) {
            (Some(one), Some(other)) => one.is_same_data(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        zero_points
            && (self.rows, self.form) == (other.rows, other.form)
            && self.weights.is_same_data(&other.weights)
            && self.scales.is_same_data(&other.scales)
    }
}

/// What a layer of paged attention keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionLayer {
    pub query_heads: u64,
    pub key_value_heads: u64,
    pub head_size: u64,
    /// Tokens that a token sees, itself included; `None` for all before it.
    pub window: Option<u64>,
}

impl Plan {
    /// The key of a packed matrix; one that holds the same data already is shared.
    pub(crate) fn pack(&mut self, arrangement: Arrangement, sources: Vec<Source>, shape: Blocks) -> String {
        let same = self.packs.iter().find(|task| {
            task.arrangement == arrangement
                && (task.columns, task.block, task.bits) == (shape.columns, shape.block, shape.bits)
                && task.sources.len() == sources.len()
                && task
                    .sources
                    .iter()
                    .zip(&sources)
                    .all(|(one, other)| one.is_same_data(other))
        });
        if let Some(task) = same {
            return task.key.clone();
        }
        let key = format!("matrix.{}", self.packs.len());
        self.packs.push(PackTask {
            key: key.clone(),
            arrangement,
            sources,
            columns: shape.columns,
            block: shape.block,
            bits: shape.bits,
        });
        key
    }
}

/// How the columns of a quantized matrix are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub(crate) columns: u64,
    pub(crate) block: u64,
    pub(crate) bits: u64,
}

impl Blocks {
    /// Blocks of a row, the last of which may be cut short.
    pub(crate) fn per_row(self) -> u64 {
        self.columns.div_ceil(self.block)
    }
}
