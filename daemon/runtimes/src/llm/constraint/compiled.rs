//! The grammars that requests asked for last: an agent sends the same tools with each turn.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use llguidance::Matcher;

use super::grammar::{Begin, Grammar, Plan};

/// Some megabytes each.
const LIMIT: usize = 16;

/// What a compiled grammar depends on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    grammar: Grammar,
    begins_now: bool,
}

impl Key {
    /// `None` for a plan that has taken in a beginning already.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        plan.beginning.is_empty().then(|| Self {
            grammar: plan.grammar.clone(),
            begins_now: plan.begin == Begin::Now,
        })
    }
}

/// Grammars of one model; the one used last is the last.
#[derive(Default)]
pub(super) struct Compiled(Mutex<VecDeque<(Key, Matcher)>>);

impl Compiled {
    /// A copy that shares nothing with what other requests use.
    pub(super) fn get(&self, key: &Key) -> Option<Matcher> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == key)?;
        let entry = kept.remove(at)?;
        let copy = entry.1.deep_clone();
        kept.push_back(entry);
        Some(copy)
    }

    pub(super) fn keep(&self, key: Key, matcher: &Matcher) {
        let copy = matcher.deep_clone();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != key);
        if kept.len() >= LIMIT {
            kept.pop_front();
        }
        kept.push_back((key, copy));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde_json::json;

    use super::*;

    fn key(number: usize) -> Key {
        Key::of(&Plan::new(Grammar::Json(json!({"const": number})), Begin::Now)).unwrap()
    }

    #[test]
    fn the_grammars_used_last_are_kept() {
        let compiled = Compiled::default();
        let broken: Result<llguidance::TokenParser, _> = Err(io::Error::other("none").into());
        let matcher = Matcher::new(broken);
        for number in 0..LIMIT {
            compiled.keep(key(number), &matcher);
        }
        assert!(compiled.get(&key(0)).is_some());
        compiled.keep(key(LIMIT), &matcher);
        assert_eq!(compiled.len(), LIMIT);
        assert!(compiled.get(&key(0)).is_some(), "it was used");
        assert!(compiled.get(&key(1)).is_none(), "it was the oldest");
    }

    #[test]
    fn where_a_grammar_begins_tells_it_apart() {
        let mut plan = Plan::new(Grammar::Json(json!({})), Begin::Now);
        let now = Key::of(&plan);
        plan.begin = Begin::BehindReasoning {
            close: "</think>".to_owned(),
        };
        assert_ne!(now, Key::of(&plan));
        plan.beginning = "{".to_owned();
        assert_eq!(Key::of(&plan), None);
    }
}
