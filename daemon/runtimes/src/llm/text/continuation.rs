//! Prompts that end in the middle of the assistant's turn, and those that begin behind one.

use airunner_core::Fault;
use airunner_core::chat::{Conversation, Message};

/// The beginning of the answer that the conversation ends with, if it goes on with one.
pub(super) fn beginning(conversation: &Conversation) -> Result<Option<&Message>, Fault> {
    if !conversation.continues {
        return Ok(None);
    }
    match conversation.messages.last() {
        Some(last) if last.role == "assistant" && last.tool_calls.is_empty() => {
            Ok(Some(last).filter(|last| !last.content.trim().is_empty()))
        }
        Some(_) | None => Err(Fault::invalid(
            "only a message of the assistant without tool calls can be continued: let one be the last",
        )),
    }
}

/// A conversation with an exchange before it, and that exchange alone: what the first is rendered
/// to behind the second is what follows any exchange, without what templates put before the first.
pub(super) fn with_opening(conversation: &Conversation) -> (Conversation, Conversation) {
    let opening = Conversation {
        messages: vec![Message::new("user", "Hi"), Message::new("assistant", "Hello")],
        continues: true,
        earlier: Vec::new(),
        ..conversation.clone()
    };
    let mut whole = conversation.clone();
    whole.messages.splice(0..0, opening.messages.iter().cloned());
    (whole, opening)
}

/// The conversation without what an earlier exchange, whose text this is, told the model already.
pub(super) fn not_told_by(earlier: &str, conversation: &Conversation) -> Conversation {
    let is_new = |message: &&Message| {
        !matches!(message.role.as_str(), "system" | "developer") || !earlier.contains(message.content.trim())
    };
    Conversation {
        messages: conversation.messages.iter().filter(is_new).cloned().collect(),
        ..conversation.clone()
    }
}

/// A rendered conversation up to the end of its last message, as transformers'
/// `continue_final_message` cuts it; `None` if the template does not write the message.
pub(super) fn cut<'r>(rendered: &'r str, message: &str) -> Option<&'r str> {
    let start = rendered.rfind(message.trim())?;
    let whole = message.trim_start();
    // Templates may trim what they write.
    let kept = if rendered[start..].starts_with(whole) {
        whole
    } else {
        message.trim()
    };
    Some(&rendered[..start + kept.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_exactly_behind_the_message() {
        for (rendered, message, expected) in [
            ("<u>Hi</u><a>The an</a>", "The an", Some("<u>Hi</u><a>The an")),
            ("<a>Hi Hi </a>", "Hi ", Some("<a>Hi Hi ")),
            ("<a>one</a>\n", "one \n", Some("<a>one")),
            ("<a>one</a>", " one", Some("<a>one")),
            ("<a></a>", "lost", None),
        ] {
            assert_eq!(cut(rendered, message), expected, "{rendered} {message}");
        }
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let conversation = Conversation {
            messages: ["system", "user"]
                .map(|role| Message::new(role, "Be brief. "))
                .to_vec(),
            ..Conversation::default()
        };
        let roles = |earlier| -> Vec<String> {
            let messages = not_told_by(earlier, &conversation).messages;
            messages.into_iter().map(|message| message.role).collect()
        };
        assert_eq!(roles("[s]Be brief.[u]Hi"), ["user"]);
        assert_eq!(roles("[s]Be loud.[u]Hi"), ["system", "user"]);
    }

    #[test]
    fn only_the_assistant_goes_on() {
        let mut conversation = Conversation {
            messages: vec![Message::new("user", "Hi")],
            ..Conversation::default()
        };
        assert_eq!(beginning(&conversation).unwrap(), None);
        conversation.continues = true;
        assert!(beginning(&conversation).is_err());
        conversation.messages.push(Message::new("assistant", " "));
        assert_eq!(beginning(&conversation).unwrap(), None, "nothing to go on from");
        conversation.messages[1].content = "{".to_owned();
        assert!(beginning(&conversation).unwrap().is_some());
    }
}
