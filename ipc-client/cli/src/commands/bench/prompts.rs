//! Prompts that no cache knows.

use std::cell::Cell;
use std::collections::HashSet;

use airunner_core::tokenize::{TokenizeInput, TokenizeRequest};
use airunner_core::{Fault, ModelName};
use airunner_ipc_client::Client;

/// Tokens of a prompt whose reading is measured.
const LONG: u32 = 512;
/// Tokens of a prompt whose answer is measured.
const SHORT: u32 = 16;
/// Tokens of an answer.
const ANSWER: u32 = 128;
/// What the next turn of a conversation brings.
const TURN: u32 = 8;
/// Of fewer tokens, prompts repeat what the cache and guesses know.
const DIFFERENT: usize = 8;
/// Its tokens are what prompts are made of. A passage, not an alphabet, so that they are ordinary ones.
const TEXT: &str = "The river comes down from the hills in spring, brown and fast, and carries whole trees \
    past the old mill. By summer children cross it on stones. Nobody in the village remembers who built the \
    bridge, only that it has always leaned a little to the left, and that every mayor promised to mend it.";

/// Random prompts of a model's own tokens, all of them different.
pub(super) struct Prompts {
    tokens: Vec<u32>,
    context: u32,
    state: Cell<u64>,
}

impl Prompts {
    /// For a model that is loaded with that context.
    pub(super) async fn of(client: &Client, model: &ModelName, context: u32) -> Result<Self, Fault> {
        let request = TokenizeRequest {
            model: model.clone(),
            input: TokenizeInput::Text {
                text: TEXT.to_owned(),
                add_special_tokens: false,
            },
        };
        let tokens = client.llm().tokenize(request).await?;
        let different: HashSet<u32> = tokens.iter().copied().collect();
        if different.len() < DIFFERENT {
            return Err(Fault::invalid(format!(
                "the model's tokenizer makes only {} different tokens of English text: prompts of them would all be \
                 alike, so that there is nothing to measure",
                different.len()
            )));
        }
        // Prompts of equal length must not be the same: a clock is random enough for that.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = now.map_or(1, |time| u64::from(time.subsec_nanos()) ^ time.as_secs());
        Self::new(tokens, context, seed)
    }

    fn new(tokens: Vec<u32>, context: u32, seed: u64) -> Result<Self, Fault> {
        if tokens.is_empty() {
            return Err(Fault::invalid(
                "the model's tokenizer makes no tokens of English text: nothing to measure",
            ));
        }
        let state = Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Ok(Self {
            tokens,
            context,
            state,
        })
    }

    /// As long as half of the context allows.
    pub(super) fn long(&self) -> Vec<u32> {
        self.draw(self.long_tokens())
    }

    pub(super) fn long_tokens(&self) -> u32 {
        LONG.min(self.context / 2).max(1)
    }

    pub(super) fn short(&self) -> Vec<u32> {
        self.draw(SHORT.min(self.context / 4).max(1))
    }

    /// What is added to a prompt.
    pub(super) fn turn(&self) -> Vec<u32> {
        self.draw(TURN.min(self.context / 8).max(1))
    }

    pub(super) fn answer_tokens(&self) -> u32 {
        ANSWER.min(self.context / 2).max(2)
    }

    pub(super) fn seed(&self) -> u64 {
        let mut state = self.state.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.state.set(state);
        state
    }

    fn draw(&self, length: u32) -> Vec<u32> {
        let one = |_| {
            let index = self.seed() % self.tokens.len() as u64;
            usize::try_from(index)
                .ok()
                .and_then(|index| self.tokens.get(index))
                .copied()
        };
        (0..length).filter_map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_differ_and_fit_whatever_the_context_is() {
        for context in [1, 2, 3, 64, 700, 8192] {
            let prompts = Prompts::new((100..200).collect(), context, 7).unwrap();
            let long = prompts.long();
            assert_eq!(long.len(), prompts.long_tokens() as usize);
            assert!(long.iter().all(|token| (100..200).contains(token)));
            if context >= 64 {
                assert_ne!(long, prompts.long());
                let whole = long.len() + prompts.turn().len() + 1;
                assert!(whole <= context as usize, "{context}");
                let whole = prompts.short().len() + prompts.answer_tokens() as usize;
                assert!(whole <= context as usize, "{context}");
            }
        }
        let prompts = Prompts::new(vec![1], 8192, 7).unwrap();
        assert_eq!((prompts.long().len(), prompts.answer_tokens()), (512, 128));
    }

    #[test]
    fn a_tokenizer_without_tokens_is_named() {
        let refusal = Prompts::new(Vec::new(), 100, 1).map(|_| ()).unwrap_err();
        assert!(refusal.message.contains("tokenizer"), "{refusal}");
    }
}
