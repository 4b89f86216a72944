//! The tokenizer of a package: text to token ids, ids to bytes.
//!
//! `tokenizer.json` is written by strangers. The library that understands it may panic on some of
//! them, and their regular expressions may cost any amount of time, so what it does with such a
//! file happens on a thread of its own with a deadline.

mod decoding;
mod error;
mod load;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

pub use error::TokenizerError;
pub(crate) use load::MAX_TOKENIZER_BYTES;

use super::guard::{Guard, catch};
pub(super) use decoding::{Decoding, Piece, Start};

/// A loaded tokenizer; cheap to clone.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    decoding: Decoding,
    special: Arc<HashSet<u32>>,
    /// Set where encoding runs patterns of the package.
    guard: Option<Guard>,
}

/// The longest any text may take to be encoded.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The library follows nested patterns by calling itself, and a pattern may have some thousand levels.
const STACK_BYTES: usize = 32 << 20;

/// Tokens a prefix may differ by from the same part of the whole text: its last word is cut.
const PREFIX_SLACK: usize = 256;

impl Tokenizer {
    /// Ids of `text`; with the tokens the tokenizer adds by itself, such as the
    /// begin-of-sequence token, if `add_special_tokens`.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, TokenizerError> {
        let Some(guard) = &self.guard else {
            return encode(&self.inner, text, add_special_tokens);
        };
        let (inner, owned) = (Arc::clone(&self.inner), text.to_owned());
        let bytes = text.len();
        let encoded = guard.run(STACK_BYTES, move || encode(&inner, &owned, add_special_tokens));
        encoded.map_err(|why| TokenizerError::interrupted(why, bytes))?
    }

    /// Like [`encode`](Self::encode), but refuses a text of more than `limit` tokens, and does so
    /// without encoding much more than that of it.
    ///
    /// A text of many times the limit is tried by its beginning first, twice as much each time.
    pub fn encode_bounded(
        &self,
        text: &str,
        add_special_tokens: bool,
        limit: usize,
    ) -> Result<Vec<u32>, TokenizerError> {
        const BYTES_PER_TOKEN: usize = 16;
        let enough = limit.saturating_add(PREFIX_SLACK);
        let mut bytes = enough.saturating_mul(BYTES_PER_TOKEN);
        while bytes < text.len() {
            let prefix = &text[..text.floor_char_boundary(bytes)];
            let tokens = self.encode(prefix, add_special_tokens)?.len();
            if tokens > enough {
                return Err(TokenizerError::TooManyAtLeast {
                    tokens: tokens - PREFIX_SLACK,
                    limit,
                });
            }
            bytes = bytes.saturating_mul(2);
        }
        let tokens = self.encode(text, add_special_tokens)?;
        if tokens.len() > limit {
            return Err(TokenizerError::TooMany {
                tokens: tokens.len(),
                limit,
            });
        }
        Ok(tokens)
    }

    /// The text of `tokens`, as the library decodes them.
    pub fn decode(&self, tokens: &[u32], skip_special_tokens: bool) -> Result<String, TokenizerError> {
        if tokens.is_empty() {
            return Ok(String::new());
        }
        // Some decoders of the library subtract without looking.
        let decoded = catch(|| self.inner.decode(tokens, skip_special_tokens));
        decoded
            .ok_or(TokenizerError::Panicked)?
            .map_err(TokenizerError::Decode)
    }

    /// The bytes `token` stands for, which need not be a whole character. Nothing for an id
    /// beyond the vocabulary.
    #[must_use]
    pub fn token_bytes(&self, token: u32) -> Vec<u8> {
        self.piece(token).map_or_else(Vec::new, |piece| piece.bytes)
    }

    /// Whether a text is the bytes of its tokens, one after the other.
    #[must_use]
    pub fn spells_bytes(&self) -> bool {
        self.decoding != Decoding::Library
    }

    /// What `token` contributes to a text.
    pub(super) fn piece(&self, token: u32) -> Option<Piece> {
        let text = self.spelling(token)?;
        Some(self.decoding.piece(text))
    }

    pub(super) fn decoding(&self) -> &Decoding {
        &self.decoding
    }

    /// The token as its vocabulary spells it.
    fn spelling(&self, token: u32) -> Option<String> {
        self.inner
            .get_added_vocabulary()
            .simple_id_to_token(token)
            .or_else(|| self.inner.id_to_token(token))
    }

    #[must_use]
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    #[must_use]
    pub fn id_to_token(&self, token: u32) -> Option<String> {
        self.inner.id_to_token(token)
    }

    /// Whether `token` is none of the text's own, such as the end-of-sequence token.
    #[must_use]
    pub fn is_special(&self, token: u32) -> bool {
        self.special.contains(&token)
    }

    /// Tokens of the vocabulary, with the added ones.
    #[must_use]
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

fn encode(
    tokenizer: &tokenizers::Tokenizer,
    text: &str,
    add_special_tokens: bool,
) -> Result<Vec<u32>, TokenizerError> {
    let encoded = catch(|| tokenizer.encode_fast(text, add_special_tokens));
    let encoding = encoded
        .ok_or(TokenizerError::Panicked)?
        .map_err(TokenizerError::Encode)?;
    Ok(encoding.get_ids().to_vec())
}
