//! Why a call was refused.

/// What is wrong with the arguments of a call. Nothing was written when one is returned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttentionError {
    #[error("{query_heads} query heads cannot share {key_value_heads} key and value heads evenly")]
    Heads {
        query_heads: usize,
        key_value_heads: usize,
    },
    #[error("heads of {0} numbers are not supported: use 1 to 1024")]
    HeadSize(usize),
    #[error("blocks of {0} tokens are not supported: use a multiple of 16 up to 4096")]
    BlockTokens(usize),
    #[error("{blocks} blocks of {block_bytes} bytes do not fit into memory")]
    Memory { blocks: usize, block_bytes: usize },
    #[error("sequence {sequence} begins at row {first_row}, before the rows of the one before it end")]
    Overlap { sequence: usize, first_row: usize },
    #[error("{name} have {have} numbers where {need} are needed")]
    TooShort {
        name: &'static str,
        have: usize,
        need: usize,
    },
    #[error("{name} have rows {stride} apart that are {width} wide")]
    Stride {
        name: &'static str,
        stride: usize,
        width: usize,
    },
    #[error("sequence {sequence} has {have} blocks where {need} are needed")]
    Table {
        sequence: usize,
        have: usize,
        need: usize,
    },
    #[error("sequence {sequence} names block {block} of a pool of {blocks}")]
    Block {
        sequence: usize,
        block: u32,
        blocks: usize,
    },
    #[error("sequence {sequence} reaches position {position}, where the rotary tables end at {positions}")]
    Position {
        sequence: usize,
        position: usize,
        positions: usize,
    },
    #[error(
        "{dimensions} dimensions cannot be rotated in heads of {head_size}: use an even number up to that"
    )]
    Rotary { dimensions: usize, head_size: usize },
    #[error("{name} of {value} makes no sense")]
    Option { name: &'static str, value: String },
    #[error("{have} sinks for {need} query heads")]
    Sinks { have: usize, need: usize },
}
