//! What a person types in a conversation: text, or a command that begins with `/`.

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Nothing,
    Say(String),
    Help,
    Clear,
    System(String),
    Regenerate,
    Save(String),
    Exit,
    Unknown(String),
}

pub(super) const HELP: &str = "\
/system TEXT     instructions for the model; without TEXT there are none
/clear           forget the conversation
/regenerate      answer the last question once more
/save FILE       write the conversation to a new file, as JSON
/exit            leave, as does Ctrl-D
Text in \"\"\" can have several lines, and so can lines that end with \\.
Ctrl-C cancels an answer. To say something that begins with /, begin with a blank.";

/// For completion.
pub(super) const COMMANDS: [&str; 6] = ["/clear", "/exit", "/help", "/regenerate", "/save ", "/system "];

const QUOTES: &str = "\"\"\"";

impl Entry {
    pub(super) fn parse(typed: &str) -> Self {
        let trimmed = typed.trim();
        if trimmed.is_empty() {
            return Self::Nothing;
        }
        if !typed.starts_with('/') {
            return Self::Say(unwrapped(trimmed));
        }
        let (command, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        match command {
            "/help" | "/?" => Self::Help,
            "/clear" => Self::Clear,
            "/system" => Self::System(unwrapped(rest.trim())),
            "/regenerate" => Self::Regenerate,
            "/save" => Self::Save(rest.trim().to_owned()),
            "/exit" | "/quit" | "/bye" => Self::Exit,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// True if more lines must follow: an open `"""`, or a backslash at the end.
pub(super) fn is_incomplete(typed: &str) -> bool {
    let quotes = typed.matches(QUOTES).count();
    if quotes > 0 {
        quotes % 2 == 1
    } else {
        typed.ends_with('\\')
    }
}

/// Without the marks that make several lines one entry.
fn unwrapped(text: &str) -> String {
    let quoted = text
        .strip_prefix(QUOTES)
        .and_then(|text| text.strip_suffix(QUOTES));
    match quoted {
        Some(inner) => inner.trim_matches('\n').to_owned(),
        None => text.replace("\\\n", "\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_commands_are_told_apart() {
        for (typed, entry) in [
            ("", Entry::Nothing),
            ("   ", Entry::Nothing),
            ("Why?", Entry::Say("Why?".into())),
            (" /etc is what?", Entry::Say("/etc is what?".into())),
            ("\"\"\"\none\ntwo\n\"\"\"", Entry::Say("one\ntwo".into())),
            ("one\\\ntwo", Entry::Say("one\ntwo".into())),
            ("/help", Entry::Help),
            ("/system  Be brief. ", Entry::System("Be brief.".into())),
            ("/system", Entry::System(String::new())),
            ("/save out.json", Entry::Save("out.json".into())),
            ("/bye", Entry::Exit),
            ("/dance now", Entry::Unknown("/dance".into())),
        ] {
            assert_eq!(Entry::parse(typed), entry, "{typed:?}");
        }
    }

    #[test]
    fn unfinished_entries_go_on() {
        for (typed, incomplete) in [
            ("one", false),
            ("one\\", true),
            ("one\\\ntwo", false),
            ("\"\"\"", true),
            ("\"\"\"one\ntwo", true),
            ("\"\"\"one\ntwo\"\"\"", false),
            ("\"\"\"one\\", true),
        ] {
            assert_eq!(is_incomplete(typed), incomplete, "{typed:?}");
        }
    }
}
