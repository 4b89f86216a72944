//! The vocabulary of one model as a tree of bytes, built when the first request needs it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use llguidance::ParserFactory;
use toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use super::answer::Constraint;
use super::compiled::{Compiled, Key};
use super::error::ConstraintError;
use super::grammar::{self, Plan};
use super::masks::Masks;
use crate::llm::text::{EosSet, Guard, TextModel, Tokenizer};

/// The longest that reading the vocabulary may take: half a second for the largest.
const VOCABULARY_LIMIT: Duration = Duration::from_secs(60);
/// The longest that compiling one grammar may take.
const COMPILE_LIMIT: Duration = Duration::from_secs(15);
/// Nested schemas are followed by calls; only what is used of this takes memory.
const STACK_BYTES: usize = 64 << 20;
/// A longer spelling is no word of any language: such a token is never allowed.
const LONGEST_TOKEN: usize = 1024;

/// What holds the answers of one model to formats; cheap to make.
pub(crate) struct Constraints {
    tokenizer: Tokenizer,
    eos: Arc<EosSet>,
    prepared: OnceLock<Option<Arc<Prepared>>>,
    compiling: Guard,
    pub(super) compiled: Compiled,
}

struct Prepared {
    factory: ParserFactory,
    masks: Masks,
}

impl Constraints {
    pub(crate) fn new(text: &TextModel) -> Self {
        Self {
            tokenizer: text.tokenizer().clone(),
            eos: text.shared_eos(),
            prepared: OnceLock::new(),
            compiling: Guard::new("format", COMPILE_LIMIT),
            compiled: Compiled::default(),
        }
    }

    /// What holds one answer to its plan. The first takes as long as the vocabulary is large.
    pub(crate) fn of(&self, plan: Plan) -> Result<Constraint, ConstraintError> {
        if !self.tokenizer.spells_bytes() {
            return Err(ConstraintError::Vocabulary);
        }
        let prepared = self
            .prepared
            .get_or_init(|| match self.prepare() {
                Ok(prepared) => Some(Arc::new(prepared)),
                Err(error) => {
                    tracing::warn!(%error, "the vocabulary cannot be prepared");
                    None
                }
            })
            .clone();
        let prepared = prepared
            .ok_or_else(|| ConstraintError::Internal("the log says why when it happened first".to_owned()))?;
        let masks = prepared.masks.clone();
        let begin = |matcher, plan| {
            let (tokenizer, eos) = (self.tokenizer.clone(), Arc::clone(&self.eos));
            Constraint::new(matcher, plan, masks, tokenizer, eos)
        };
        let key = Key::of(&plan);
        if let Some(matcher) = key.as_ref().and_then(|key| self.compiled.get(key)) {
            return Ok(begin(matcher, plan));
        }
        let (tokenizer, eos) = (self.tokenizer.clone(), Arc::clone(&self.eos));
        let compiled = self.compiling.run(STACK_BYTES, move || {
            plan.grammar.check()?;
            let written = plan.grammar.written(&tokenizer, &eos)?;
            written.check()?;
            let matcher = grammar::compile(&prepared.factory, &written, &plan)?;
            drop(written);
            Ok((matcher, plan))
        });
        let (matcher, plan) = compiled.map_err(ConstraintError::interrupted)??;
        if let Some(key) = key {
            self.compiled.keep(key, &matcher);
        }
        Ok(begin(matcher, plan))
    }

    fn prepare(&self) -> Result<Prepared, ConstraintError> {
        let (tokenizer, eos) = (self.tokenizer.clone(), Arc::clone(&self.eos));
        let building = Guard::new("format", VOCABULARY_LIMIT);
        let built = building.run(STACK_BYTES, move || factory(&tokenizer, &eos));
        let factory = built
            .map_err(ConstraintError::interrupted)?
            .map_err(ConstraintError::Internal)?;
        let masks = Masks::start().map_err(|error| ConstraintError::Internal(error.to_string()))?;
        Ok(Prepared { factory, masks })
    }
}

fn factory(tokenizer: &Tokenizer, eos: &EosSet) -> Result<ParserFactory, String> {
    let environment: TokEnv = Arc::new(Environment(trie(tokenizer, eos)));
    let mut factory = ParserFactory::new(
        &environment,
        InferenceCapabilities::default(),
        &llguidance::earley::SlicedBiasComputer::general_slices(),
    )
    .map_err(|error| format!("{error:#}"))?;
    factory.quiet();
    let limits = factory.limits_mut();
    grammar::bound(limits);
    Ok(factory)
}

/// Special tokens are spelled behind a byte that no text has, so that no text allows them.
fn trie(tokenizer: &Tokenizer, eos: &EosSet) -> TokTrie {
    let size = u32::try_from(tokenizer.vocabulary_size()).unwrap_or(u32::MAX - 1);
    let mut words: Vec<Vec<u8>> = (0..size)
        .map(|token| {
            let bytes = tokenizer.token_bytes(token);
            if bytes.len() > LONGEST_TOKEN {
                Vec::new()
            } else if tokenizer.is_special(token) || eos.contains(token) {
                [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes.as_slice()].concat()
            } else {
                bytes
            }
        })
        .collect();
    let mut ends: Vec<TokenId> = eos.as_slice().iter().copied().filter(|&end| end < size).collect();
    if ends.is_empty() {
        // One beyond the vocabulary, which is never sampled.
        ends.push(size);
        words.push([&[TokTrie::SPECIAL_TOKEN_MARKER], b"<end>".as_slice()].concat());
    }
    let info = TokRxInfo::new(u32::try_from(words.len()).unwrap_or(u32::MAX), ends[0]);
    TokTrie::from(&info, &words).with_eos_tokens(&ends)
}

/// A vocabulary whose tokens the model itself chooses: forced text is not tokenized for it.
struct Environment(TokTrie);

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.0
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.0.greedy_tokenize(bytes)
    }

    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}
