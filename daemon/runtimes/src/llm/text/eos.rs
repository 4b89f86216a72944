//! Which tokens end an answer.

use super::tokenizer::Tokenizer;

/// Tokens that end a turn in the templates of known families. One of them counts only where the
/// vocabulary has it and the package's own chat template writes it.
const TURN_ENDS: [&str; 17] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end_of_turn|>",
    "<end_of_turn>",
    "<turn|>",
    "<|return|>",
    "<|call|>",
    "<|eot|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|endofassistant|>",
    "<｜end▁of▁sentence｜>",
    "[EOS]",
    "</s>",
];

/// The union of everything a package says about the end of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EosSet(Vec<u32>);

impl EosSet {
    /// `declared` are the ids of `config.json`, `generation_config.json` and `genai_config.json`;
    /// `eos_token` is the one of `tokenizer_config.json`; `template` the chat template's source.
    #[must_use]
    pub fn new(
        declared: &[u32],
        eos_token: Option<&str>,
        template: Option<&str>,
        tokenizer: &Tokenizer,
    ) -> Self {
        let template = template.unwrap_or("");
        // In the harmony format `<|end|>` only ends one of the answer's several messages.
        let harmony = template.contains("<|return|>");
        let ends = TURN_ENDS
            .iter()
            .copied()
            .filter(|&token| template.contains(token) && !(harmony && token == "<|end|>"));
        let named = eos_token
            .into_iter()
            .chain(ends)
            .filter_map(|token| tokenizer.token_to_id(token));
        let mut ids: Vec<u32> = declared.iter().copied().chain(named).collect();
        ids.sort_unstable();
        ids.dedup();
        Self(ids)
    }

    #[must_use]
    pub fn contains(&self, token: u32) -> bool {
        self.0.binary_search(&token).is_ok()
    }

    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(tokens: &[&str]) -> Tokenizer {
        Tokenizer::from_tokens(tokens)
    }

    #[test]
    fn unites_all_sources_and_invents_none() {
        let tokenizer = vocabulary(&["a", "</s>", "<|im_end|>", "<|eot_id|>", "<|end|>", "<|return|>"]);
        let chatml = "{{ '<|im_end|>' }}";
        let set = EosSet::new(&[900, 0], Some("</s>"), Some(chatml), &tokenizer);
        assert_eq!(set.as_slice(), [0, 1, 2, 900]);
        assert!(set.contains(2) && !set.contains(3));
        assert_eq!(EosSet::new(&[], None, None, &tokenizer).as_slice(), [0_u32; 0]);
        assert_eq!(
            EosSet::new(&[], Some("<absent>"), Some("<|end|>"), &tokenizer).as_slice(),
            [4]
        );
        assert_eq!(
            EosSet::new(&[], None, Some("<|end|><|return|>"), &tokenizer).as_slice(),
            [5]
        );
    }
}
