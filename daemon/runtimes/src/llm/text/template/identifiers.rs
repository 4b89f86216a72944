//! Ids of calls as the templates want them that look at their form.

use std::borrow::Cow;
use std::collections::BTreeMap;

use airunner_core::chat::Conversation;

/// Mistral's templates refuse every other length.
const LENGTH: usize = 9;
const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The conversation with ids of nine letters and digits, the same one for a call and for its
/// result; `None` where all ids are such already.
pub(super) fn renamed(conversation: &Conversation) -> Option<Conversation> {
    let mut names = names(conversation);
    names.retain(|old, new| old != new);
    if names.is_empty() {
        return None;
    }
    let names: BTreeMap<String, String> = names
        .into_iter()
        .map(|(old, new)| (old.to_owned(), new.into_owned()))
        .collect();
    let mut renamed = conversation.clone();
    for turn in &mut renamed.messages {
        let made = turn.tool_calls.iter_mut().map(|call| &mut call.id);
        for id in made.chain(&mut turn.tool_call_id) {
            if let Some(new) = names.get(id.as_str()) {
                id.clone_from(new);
            }
        }
    }
    Some(renamed)
}

/// The new name of each id. It depends on the id and on those that came before, so that a longer
/// conversation begins with the same text as a shorter one.
fn names(conversation: &Conversation) -> BTreeMap<&str, Cow<'_, str>> {
    let ids = || {
        conversation.messages.iter().flat_map(|turn| {
            let made = turn.tool_calls.iter().map(|call| call.id.as_str());
            made.chain(turn.tool_call_id.as_deref())
        })
    };
    let mut names: BTreeMap<&str, Cow<'_, str>> = ids()
        .filter(|id| is_plain(id))
        .map(|id| (id, Cow::Borrowed(id)))
        .collect();
    let mut taken: Vec<String> = names.keys().map(|&id| id.to_owned()).collect();
    for id in ids() {
        if names.contains_key(id) {
            continue;
        }
        let mut number = hash(id);
        let mut new = spelled(number);
        while taken.contains(&new) {
            number = number.wrapping_add(1);
            new = spelled(number);
        }
        taken.push(new.clone());
        names.insert(id, Cow::Owned(new));
    }
    names
}

fn is_plain(id: &str) -> bool {
    id.len() == LENGTH && id.bytes().all(|letter| letter.is_ascii_alphanumeric())
}

/// FNV-1a: the same in every process and version.
fn hash(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn spelled(mut number: u64) -> String {
    let base = LETTERS.len() as u64;
    let letters = (0..LENGTH).map(|_| {
        let digit = usize::try_from(number % base).unwrap_or(0);
        number /= base;
        char::from(LETTERS[digit])
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use airunner_core::chat::{Message, ToolCall};
    use serde_json::Map;

    use super::*;

    fn called(ids: &[&str]) -> Conversation {
        let calls = ids.iter().map(|id| ToolCall {
            id: (*id).to_owned(),
            name: "add".to_owned(),
            arguments: Map::new(),
        });
        let mut messages = vec![Message {
            tool_calls: calls.collect(),
            ..Message::new("assistant", "")
        }];
        messages.extend(ids.iter().map(|id| Message {
            tool_call_id: Some((*id).to_owned()),
            ..Message::new("tool", "3")
        }));
        Conversation {
            messages,
            ..Conversation::default()
        }
    }

    #[test]
    fn a_call_and_its_result_keep_together() {
        let ids = ["call_0123456789", "call_x", "plainId09", "", "nine-char"];
        let renamed = renamed(&called(&ids)).unwrap();
        let calls: Vec<&str> = renamed.messages[0]
            .tool_calls
            .iter()
            .map(|call| call.id.as_str())
            .collect();
        let results: Vec<&str> = renamed.messages[1..]
            .iter()
            .map(|turn| turn.tool_call_id.as_deref().unwrap())
            .collect();
        assert_eq!(calls, results);
        assert_eq!(calls[2], "plainId09");
        let mut different = calls.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), ids.len());
        assert!(calls.iter().all(|id| is_plain(id)), "{calls:?}");
    }

    #[test]
    fn a_longer_conversation_begins_with_the_same_ids() {
        let short = renamed(&called(&["call_1", "call_2"])).unwrap();
        let long = renamed(&called(&["call_1", "call_2", "call_3"])).unwrap();
        assert_eq!(short.messages[0].tool_calls[..], long.messages[0].tool_calls[..2]);
        assert!(renamed(&called(&["plainId09"])).is_none());
    }
}
