//! Names for tool calls.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Gives each call an id: nine letters and digits, which is what the strictest templates ask for.
#[derive(Clone, Debug)]
pub(super) struct Identifiers(ChaCha8Rng);

impl Identifiers {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const LENGTH: usize = 9;

    /// Different seeds give different ids.
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(super) fn next(&mut self) -> String {
        let mut letter = || Self::ALPHABET[(self.0.next_u64() % 62) as usize] as char;
        std::iter::repeat_with(&mut letter).take(Self::LENGTH).collect()
    }
}
