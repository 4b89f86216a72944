//! One answer on its way through its grammar.

use std::sync::Arc;

use llguidance::Matcher;
use toktrie::SimpleVob;

use super::error::ConstraintError;
use super::grammar::{Begin, Head, Plan};
use super::masks::{Masks, Pending, first_line};
use crate::llm::text::{EosSet, Tokenizer};

/// Which tokens may come next.
#[derive(Debug)]
pub(crate) enum Allowed {
    All,
    /// All but the ends of an answer.
    AllButEnds(Arc<EosSet>),
    Only(SimpleVob),
}

impl Allowed {
    /// Rules out what may not come.
    pub(crate) fn apply(&self, logits: &mut [f32]) {
        match self {
            Self::All => {}
            Self::AllButEnds(ends) => {
                for &end in ends.as_slice() {
                    if let Some(logit) = logits.get_mut(end as usize) {
                        *logit = f32::NEG_INFINITY;
                    }
                }
            }
            Self::Only(mask) => apply(mask, logits),
        }
    }
}

fn apply(mask: &SimpleVob, logits: &mut [f32]) {
    const BITS: usize = u32::BITS as usize;
    let words = mask.as_slice();
    for (index, part) in logits.chunks_mut(BITS).enumerate() {
        match words.get(index).copied().unwrap_or(0) {
            u32::MAX => {}
            0 => part.fill(f32::NEG_INFINITY),
            word => {
                for (bit, logit) in part.iter_mut().enumerate() {
                    if word >> bit & 1 == 0 {
                        *logit = f32::NEG_INFINITY;
                    }
                }
            }
        }
    }
}

/// Holds one answer to its plan.
pub(crate) struct Constraint {
    tokenizer: Tokenizer,
    eos: Arc<EosSet>,
    masks: Masks,
    plan: Plan,
    /// For when the grammar begins; kept where it may begin again.
    fresh: Option<Box<Matcher>>,
    stage: Stage,
}

impl std::fmt::Debug for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Constraint")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

enum Stage {
    /// Whatever the model writes, until a text comes.
    Free(Watch),
    /// The mask of the next token is on its way; beside it, this token may come.
    Ahead { mask: Pending, or: Option<u32> },
    /// Which token comes is being decided.
    Held(Box<Matcher>),
    /// Nothing may follow.
    Over,
}

/// Looks for texts in what the model writes.
struct Watch {
    is_reasoning: bool,
    /// Reasoning may begin here.
    is_fresh: bool,
    /// How many of the marks came.
    found: usize,
    /// Behind a call, where another may begin.
    is_behind_call: bool,
    /// Where only the beginning tells: it did, and this is no call.
    is_text: bool,
    text: Vec<u8>,
}

impl Constraint {
    pub(super) fn new(
        matcher: Matcher,
        plan: Plan,
        masks: Masks,
        tokenizer: Tokenizer,
        eos: Arc<EosSet>,
    ) -> Self {
        let matcher = Box::new(matcher);
        let mut constraint = Self {
            tokenizer,
            eos,
            masks,
            fresh: None,
            stage: Stage::Over,
            plan,
        };
        constraint.stage = match &constraint.plan.begin {
            Begin::Now => constraint.ahead(matcher, None),
            Begin::NowOrBehindReasoning { open, .. } => {
                let open = *open;
                constraint.fresh = Some(Box::new((*matcher).clone()));
                constraint.ahead(matcher, Some(open))
            }
            Begin::BehindReasoning { .. } => {
                constraint.fresh = Some(matcher);
                Stage::Free(Watch::new(true, false))
            }
            Begin::Behind { .. } | Begin::With { .. } => {
                constraint.fresh = Some(matcher);
                let reasoning = constraint.plan.reasoning.as_ref();
                Stage::Free(Watch::new(
                    reasoning.is_some_and(|tags| tags.2),
                    reasoning.is_some(),
                ))
            }
        };
        constraint
    }

    /// Which tokens may come next; waits for it if need be.
    pub(crate) fn allowed(&mut self) -> Result<Allowed, ConstraintError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Free(watch) => {
                self.stage = Stage::Free(watch);
                Ok(if self.may_end() {
                    Allowed::All
                } else {
                    Allowed::AllButEnds(Arc::clone(&self.eos))
                })
            }
            Stage::Ahead { mask, or } => {
                let (matcher, mut mask) = mask.wait()?;
                self.stage = Stage::Held(matcher);
                if let Some(token) = or.filter(|&token| (token as usize) < mask.len()) {
                    mask.allow_token(token);
                }
                Ok(Allowed::Only(mask))
            }
            Stage::Held(_) | Stage::Over => Err(ConstraintError::Internal(
                "the next token was asked for twice".to_owned(),
            )),
        }
    }

    /// Takes the token that was chosen; true if nothing may follow it.
    pub(crate) fn accept(&mut self, token: u32) -> Result<bool, ConstraintError> {
        if self.eos.contains(token) {
            self.stage = Stage::Over;
            return Ok(true);
        }
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Free(watch) => self.watch(watch, token)?,
            Stage::Held(matcher) => match &self.plan.begin {
                Begin::NowOrBehindReasoning { open, .. } if *open == token && self.fresh.is_some() => {
                    Stage::Free(Watch::new(true, false))
                }
                Begin::NowOrBehindReasoning { .. }
                | Begin::Now
                | Begin::BehindReasoning { .. }
                | Begin::Behind { .. }
                | Begin::With { .. } => self.advance(matcher, &[token])?,
            },
            Stage::Ahead { .. } | Stage::Over => Stage::Over,
        };
        Ok(matches!(self.stage, Stage::Over))
    }

    fn ahead(&self, matcher: Box<Matcher>, or: Option<u32>) -> Stage {
        Stage::Ahead {
            mask: self.masks.compute(matcher),
            or,
        }
    }

    fn advance(&mut self, mut matcher: Box<Matcher>, tokens: &[u32]) -> Result<Stage, ConstraintError> {
        if !self.plan.repeats {
            self.fresh = None;
        }
        matcher
            .consume_tokens(tokens)
            .map_err(|error| ConstraintError::TooComplex(first_line(&error.to_string())))?;
        Ok(match (matcher.is_stopped(), self.plan.repeats) {
            (false, _) => self.ahead(matcher, None),
            (true, true) => Stage::Free(Watch::behind_call()),
            (true, false) => Stage::Over,
        })
    }

    /// An answer that must have its constrained part does not end before.
    fn may_end(&self) -> bool {
        match &self.plan.begin {
            Begin::Behind { is_required, .. } => !is_required,
            Begin::With { .. } => true,
            Begin::Now | Begin::NowOrBehindReasoning { .. } | Begin::BehindReasoning { .. } => false,
        }
    }

    fn watch(&mut self, mut watch: Watch, token: u32) -> Result<Stage, ConstraintError> {
        watch.text.extend(self.tokenizer.token_bytes(token));
        let Some(rest) = watch.look(&self.plan) else {
            return Ok(Stage::Free(watch));
        };
        let fresh = self
            .fresh
            .as_ref()
            .ok_or_else(|| ConstraintError::Internal("the grammar has begun already".to_owned()))?;
        let mut matcher = Box::new((**fresh).clone());
        if rest.is_empty() {
            return self.advance(matcher, &[]);
        }
        // The mark ended inside a token: the rest of that belongs to the grammar.
        let environment = matcher
            .tok_env()
            .map_err(|error| ConstraintError::Internal(error.to_string()))?;
        let tokens = environment.tokenize_bytes(rest.trim_ascii_start());
        if matcher.try_consume_tokens(&tokens).ok() == Some(tokens.len()) {
            return self.advance(matcher, &[]);
        }
        if self.may_end() {
            return Ok(Stage::Free(Watch::text()));
        }
        Err(ConstraintError::Beginning)
    }
}

impl Watch {
    fn new(is_reasoning: bool, is_fresh: bool) -> Self {
        Self {
            is_reasoning,
            is_fresh,
            found: 0,
            is_behind_call: false,
            is_text: false,
            text: Vec::new(),
        }
    }

    fn behind_call() -> Self {
        Self {
            is_behind_call: true,
            ..Self::new(false, false)
        }
    }

    /// What looks like a call and is none.
    fn text() -> Self {
        Self {
            is_text: true,
            ..Self::new(false, false)
        }
    }

    /// The beginning of a call as the grammar has it, and what was written behind, if the answer
    /// begins with one of the heads.
    fn begins(&mut self, plan: &Plan, heads: &[Head]) -> Option<Vec<u8>> {
        if self.is_fresh && !self.is_reasoning && self.begins_reasoning(plan)? {
            self.is_reasoning = true;
        }
        if let Some((_, close, _)) = plan.reasoning.as_ref().filter(|_| self.is_reasoning) {
            let Some(at) = find(&self.text, close.as_bytes()) else {
                let keep = self.text.len().min(close.len() - 1);
                self.text.drain(..self.text.len() - keep);
                return None;
            };
            self.text.drain(..at + close.len());
            self.is_reasoning = false;
            self.is_fresh = false;
        }
        if self.is_text {
            self.text.clear();
            return None;
        }
        let separators = if self.is_behind_call { ";" } else { "" };
        let mut may_begin = false;
        for head in heads {
            match compare(&self.text, &head.written, separators) {
                Compared::Begins { rest } => {
                    let mut taken = head.taken.clone().into_bytes();
                    taken.extend(&self.text[rest..]);
                    self.text.clear();
                    return Some(taken);
                }
                Compared::MayBegin => may_begin = true,
                Compared::Differs => {}
            }
        }
        self.is_text = !may_begin;
        None
    }

    /// What was written behind the last mark, once all of them came.
    fn look(&mut self, plan: &Plan) -> Option<Vec<u8>> {
        if let Begin::With { heads } = &plan.begin {
            return self.begins(plan, heads);
        }
        loop {
            if self.is_fresh && !self.is_reasoning && self.begins_reasoning(plan)? {
                self.is_reasoning = true;
            }
            let mark = self.next_mark(plan).to_owned();
            let Some(at) = find(&self.text, mark.as_bytes()) else {
                let keep = self.text.len().min(mark.len().saturating_sub(1));
                if !self.is_fresh || self.is_reasoning {
                    self.text.drain(..self.text.len() - keep);
                }
                return None;
            };
            self.text.drain(..at + mark.len());
            let left_reasoning = std::mem::replace(&mut self.is_reasoning, false);
            self.is_fresh = false;
            self.found += usize::from(!left_reasoning);
            let is_complete = match &plan.begin {
                Begin::Behind { marks, .. } => self.found == marks.len(),
                Begin::Now
                | Begin::NowOrBehindReasoning { .. }
                | Begin::BehindReasoning { .. }
                | Begin::With { .. } => true,
            };
            if is_complete {
                return Some(std::mem::take(&mut self.text));
            }
        }
    }

    /// Whether the text begins with reasoning; `None` if that cannot be told yet.
    fn begins_reasoning(&mut self, plan: &Plan) -> Option<bool> {
        let Some((open, ..)) = &plan.reasoning else {
            self.is_fresh = false;
            return Some(false);
        };
        let begun = self.text.trim_ascii_start();
        if begun.starts_with(open.as_bytes()) {
            return Some(true);
        }
        if open.as_bytes().starts_with(begun) {
            return None;
        }
        self.is_fresh = false;
        Some(false)
    }

    fn next_mark<'p>(&self, plan: &'p Plan) -> &'p str {
        match &plan.begin {
            Begin::Now | Begin::With { .. } => "",
            Begin::NowOrBehindReasoning { close, .. } | Begin::BehindReasoning { close } => close,
            Begin::Behind { marks, .. } => match &plan.reasoning {
                Some((_, close, _)) if self.is_reasoning => close,
                Some(_) | None => marks.get(self.found).map_or("", String::as_str),
            },
        }
    }
}

/// Whether a text begins in a certain way.
#[derive(Debug, PartialEq, Eq)]
enum Compared {
    /// It does; what follows begins there.
    Begins {
        rest: usize,
    },
    /// Too little of it is there to tell.
    MayBegin,
    Differs,
}

/// Compares without white space, and without these letters at the beginning.
fn compare(text: &[u8], head: &str, separators: &str) -> Compared {
    let mut wanted = head.bytes().filter(|byte| !byte.is_ascii_whitespace()).peekable();
    let mut has_begun = false;
    for (at, byte) in text.iter().enumerate() {
        if wanted.peek().is_none() {
            return Compared::Begins { rest: at };
        }
        if byte.is_ascii_whitespace() || (!has_begun && separators.as_bytes().contains(byte)) {
            continue;
        }
        has_begun = true;
        if wanted.next() != Some(*byte) {
            return Compared::Differs;
        }
    }
    match wanted.peek() {
        None => Compared::Begins { rest: text.len() },
        Some(_) => Compared::MayBegin,
    }
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    if mark.is_empty() {
        return Some(0);
    }
    text.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_begins_whatever_its_white_space() {
        let head = "{\"name\": \"f\"";
        for (text, separators, expected) in [
            ("{\"name\": \"f\", \"p", "", Compared::Begins { rest: 12 }),
            ("{\"name\":\"f\"", "", Compared::Begins { rest: 11 }),
            ("\n{ \"name\" : \"f\" ,", "", Compared::Begins { rest: 15 }),
            ("; {\"name\": \"f\"", ";", Compared::Begins { rest: 14 }),
            ("; {\"name\": \"f\"", "", Compared::Differs),
            ("", "", Compared::MayBegin),
            (" {\"na", "", Compared::MayBegin),
            ("{\"name\": \"fg\"", "", Compared::Differs),
            ("{\"nam\": ", "", Compared::Differs),
            ("The", "", Compared::Differs),
        ] {
            let found = compare(text.as_bytes(), head, separators);
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
