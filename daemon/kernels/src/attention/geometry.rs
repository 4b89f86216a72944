//! Shape of the cache of keys and values of one layer.

use super::{AttentionError, LANES};

/// What a number of the cache is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    F32,
    F16,
    /// 8 bits, with one scale for the key and one for the value of each token and head.
    I8,
}

impl Element {
    /// Bytes of one number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::I8 => 1,
        }
    }
}

/// Heads, their size, and how tokens are put into blocks.
///
/// A block holds, for each head of keys and values, panels of 16 tokens. A panel is (for
/// [`Element::I8`]) 16 scales of keys and 16 of values, then the keys as `[size][token]`, then the
/// values as `[size / 16][token][16]`, sizes rounded up to a multiple of 16 with zeros. So both
/// products of attention read their panel from the first byte to the last, with no sums across
/// the lanes of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    query_heads: usize,
    key_value_heads: usize,
    head_size: usize,
    block_tokens: usize,
    element: Element,
}

impl Geometry {
    /// # Errors
    ///
    /// [`AttentionError::Heads`] unless the query heads are a multiple of the others,
    /// [`AttentionError::HeadSize`] unless the size is 1 to 1024, and
    /// [`AttentionError::BlockTokens`] unless a block has a multiple of 16 tokens up to 4096.
    pub fn new(
        query_heads: usize,
        key_value_heads: usize,
        head_size: usize,
        block_tokens: usize,
        element: Element,
    ) -> Result<Self, AttentionError> {
        let heads = 1..=65_536;
        if !heads.contains(&query_heads)
            || !heads.contains(&key_value_heads)
            || !query_heads.is_multiple_of(key_value_heads)
        {
            return Err(AttentionError::Heads {
                query_heads,
                key_value_heads,
            });
        }
        if !(1..=1024).contains(&head_size) {
            return Err(AttentionError::HeadSize(head_size));
        }
        if !(LANES..=4096).contains(&block_tokens) || !block_tokens.is_multiple_of(LANES) {
            return Err(AttentionError::BlockTokens(block_tokens));
        }
        Ok(Self {
            query_heads,
            key_value_heads,
            head_size,
            block_tokens,
            element,
        })
    }

    #[must_use]
    pub fn query_heads(&self) -> usize {
        self.query_heads
    }

    #[must_use]
    pub fn key_value_heads(&self) -> usize {
        self.key_value_heads
    }

    #[must_use]
    pub fn head_size(&self) -> usize {
        self.head_size
    }

    #[must_use]
    pub fn block_tokens(&self) -> usize {
        self.block_tokens
    }

    #[must_use]
    pub fn element(&self) -> Element {
        self.element
    }

    /// Bytes that the keys and values of one block of one layer take.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        self.key_value_heads * self.head_bytes()
    }

    /// Blocks that `tokens` tokens take.
    #[must_use]
    pub fn blocks_for(&self, tokens: usize) -> usize {
        tokens.div_ceil(self.block_tokens)
    }

    /// Query heads that share the keys of one head.
    pub(super) fn group(&self) -> usize {
        self.query_heads / self.key_value_heads
    }

    /// Vectors that hold one head.
    pub(super) fn vectors(&self) -> usize {
        self.head_size.div_ceil(LANES)
    }

    /// Bytes of the scales at the beginning of a panel.
    pub(super) fn scale_bytes(&self) -> usize {
        match self.element {
            Element::F32 | Element::F16 => 0,
            Element::I8 => 2 * LANES * size_of::<f32>(),
        }
    }

    /// Bytes of the keys of 16 tokens of one head; the values take as many.
    pub(super) fn side_bytes(&self) -> usize {
        LANES * LANES * self.vectors() * self.element.bytes()
    }

    pub(super) fn panel_bytes(&self) -> usize {
        self.scale_bytes() + 2 * self.side_bytes()
    }

    pub(super) fn head_bytes(&self) -> usize {
        self.block_tokens / LANES * self.panel_bytes()
    }

    /// Where the panel of `position` begins in the pool, for a sequence that lies in `blocks`.
    #[inline(always)]
    pub(super) fn panel_offset(&self, blocks: &[u32], position: usize, head: usize) -> usize {
        let block = blocks[position / self.block_tokens] as usize;
        let panel = position % self.block_tokens / LANES;
        block * self.block_bytes() + head * self.head_bytes() + panel * self.panel_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_bytes_of_its_numbers_and_scales() {
        let bytes = |element| Geometry::new(32, 8, 64, 32, element).unwrap().block_bytes();
        let numbers = 2 * 8 * 32 * 64;
        assert_eq!(bytes(Element::F32), numbers * 4);
        assert_eq!(bytes(Element::F16), numbers * 2);
        assert_eq!(bytes(Element::I8), numbers + 2 * 8 * 32 * 4);
    }

    #[test]
    fn a_size_is_rounded_up_to_whole_vectors() {
        let bytes = |size| Geometry::new(1, 1, size, 16, Element::F16).unwrap().block_bytes();
        assert_eq!(bytes(65), bytes(80));
        assert!(bytes(64) < bytes(65));
    }

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        let shape = |query, key, size, tokens| Geometry::new(query, key, size, tokens, Element::F32);
        assert_eq!(
            shape(6, 4, 64, 32),
            Err(AttentionError::Heads {
                query_heads: 6,
                key_value_heads: 4
            })
        );
        assert_eq!(
            shape(0, 1, 64, 32),
            Err(AttentionError::Heads {
                query_heads: 0,
                key_value_heads: 1
            })
        );
        assert_eq!(
            shape(4, 0, 64, 32),
            Err(AttentionError::Heads {
                query_heads: 4,
                key_value_heads: 0
            })
        );
        assert_eq!(shape(4, 4, 0, 32), Err(AttentionError::HeadSize(0)));
        assert_eq!(shape(4, 4, 2000, 32), Err(AttentionError::HeadSize(2000)));
        assert_eq!(shape(4, 4, 64, 24), Err(AttentionError::BlockTokens(24)));
        assert_eq!(shape(4, 4, 64, 0), Err(AttentionError::BlockTokens(0)));
        assert_eq!(
            shape(4, 4, 64, usize::MAX),
            Err(AttentionError::BlockTokens(usize::MAX))
        );
    }
}
