//! Prompts that end in the middle of the assistant's turn.

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
