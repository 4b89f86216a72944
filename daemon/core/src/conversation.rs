//! Conversations that somebody asked to keep, and the pages in which long lists are told.

use std::fmt;
use std::time::SystemTime;

use crate::access::KeyId;
use crate::chat::Message;
use crate::error::Fault;

/// Names a stored conversation: `conv_` and 24 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationId(pub String);

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is said of a stored conversation without its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationSummary {
    pub id: ConversationId,
    /// `None`: the user of this machine.
    pub owner: Option<KeyId>,
    /// Empty until somebody gave one or the first turn came.
    pub title: String,
    /// Who answers unless a turn names another; empty: whichever model is the default then.
    pub model: String,
    pub created_at: SystemTime,
    pub updated_at: SystemTime,
    pub messages: u64,
}

/// A message of a stored conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMessage {
    /// From 0.
    pub position: u64,
    pub message: Message,
    /// Who answered, in the assistant's own turns.
    pub model: Option<String>,
    pub created_at: SystemTime,
}

/// A message somewhere in the stored conversations.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    pub conversation: ConversationId,
    pub title: String,
    pub message: StoredMessage,
}

/// What to store as a new conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewConversation {
    pub title: String,
    pub model: String,
    /// How it begins, such as with a system message.
    pub messages: Vec<Message>,
}

/// Longest title, bytes.
pub const MAX_TITLE_BYTES: usize = 200;
/// Messages of one conversation.
pub const MAX_MESSAGES: u64 = 10_000;
/// Characters of a title that is made from the first message.
const TITLE_CHARS: usize = 60;

/// Refuses titles that no list could show.
pub fn check_title(title: &str) -> Result<(), Fault> {
    if title.len() > MAX_TITLE_BYTES || title.chars().any(char::is_control) {
        return Err(Fault::invalid(format!(
            "title must be one line of at most {MAX_TITLE_BYTES} bytes"
        ))
        .figure("param", "title"));
    }
    Ok(())
}

/// A title made from what the user said first.
#[must_use]
pub fn title_of(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let visible: String = line.chars().filter(|letter| !letter.is_control()).collect();
    if visible.chars().count() <= TITLE_CHARS {
        return visible;
    }
    let short: String = visible.chars().take(TITLE_CHARS - 1).collect();
    format!("{}…", short.trim_end())
}

/// Which part of a long list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    limit: u32,
    offset: u32,
}

impl Page {
    /// The most of a list that is told at once.
    pub const MAX: u32 = 200;
    /// What is told unless more is asked for.
    pub const USUAL: u32 = 50;

    pub fn new(limit: Option<u32>, offset: Option<u32>) -> Result<Self, Fault> {
        let limit = limit.unwrap_or(Self::USUAL);
        if !(1..=Self::MAX).contains(&limit) {
            return Err(
                Fault::invalid(format!("limit is {limit}: it must be 1 to {}", Self::MAX))
                    .figure("param", "limit"),
            );
        }
        Ok(Self {
            limit,
            offset: offset.unwrap_or(0),
        })
    }

    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    #[must_use]
    pub const fn offset(&self) -> u32 {
        self.offset
    }
}

/// A part of a long list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing<T> {
    pub items: Vec<T>,
    /// How many there are altogether.
    pub total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_short_line() {
        assert_eq!(title_of("  What is\n\tthis? "), "What is this?");
        let long = title_of(&"word ".repeat(100));
        assert!(
            long.chars().count() <= TITLE_CHARS && long.ends_with('…'),
            "{long}"
        );
        assert!(check_title(&title_of(&"日本語".repeat(100))).is_ok());
        assert!(check_title("two\nlines").is_err());
        assert!(check_title(&"x".repeat(201)).is_err());
        assert!(check_title("").is_ok());
    }

    #[test]
    fn a_page_is_bounded() {
        assert_eq!(Page::new(None, None).unwrap().limit(), Page::USUAL);
        assert_eq!(Page::new(Some(7), Some(9)).unwrap().offset(), 9);
        for limit in [0, 201, u32::MAX] {
            assert!(Page::new(Some(limit), None).is_err(), "{limit}");
        }
    }
}
