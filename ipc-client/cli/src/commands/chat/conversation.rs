//! What was said so far.

use airunner_core::chat::{Conversation, Message};
use serde_json::{Value, json};

/// The turns of one conversation. It never ends with two questions in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Transcript {
    system: Option<String>,
    turns: Vec<Message>,
}

impl Transcript {
    pub(super) fn new(system: Option<String>) -> Self {
        Self {
            system,
            turns: Vec::new(),
        }
    }

    /// Instructions from the next question on; an empty text removes them.
    pub(super) fn instruct(&mut self, system: &str) {
        self.system = (!system.is_empty()).then(|| system.to_owned());
    }

    pub(super) fn ask(&mut self, question: String) {
        self.turns.push(Message::new("user", question));
    }

    pub(super) fn answer(&mut self, text: String, reasoning: String) {
        let reasoning = (!reasoning.is_empty()).then_some(reasoning);
        self.turns.push(Message {
            reasoning,
            ..Message::new("assistant", text)
        });
    }

    /// Takes back a question that got no answer.
    pub(super) fn forget_question(&mut self) {
        if self.turns.last().is_some_and(|turn| turn.role == "user") {
            self.turns.pop();
        }
    }

    /// Takes back the last answer, so that its question can be asked again. False if nothing
    /// was asked.
    pub(super) fn forget_answer(&mut self) -> bool {
        if self.turns.last().is_some_and(|turn| turn.role == "assistant") {
            self.turns.pop();
        }
        !self.turns.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.turns.clear();
    }

    pub(super) fn conversation(&self) -> Conversation {
        let system = self.system.iter().map(|text| Message::new("system", text));
        Conversation {
            messages: system.chain(self.turns.iter().cloned()).collect(),
            ..Conversation::default()
        }
    }

    /// `{"messages": [{"role", "content"}]}`, as chat APIs take it.
    pub(super) fn to_json(&self) -> Value {
        let turn = |turn: Message| json!({ "role": turn.role, "content": turn.content });
        let turns: Vec<Value> = self.conversation().messages.into_iter().map(turn).collect();
        json!({ "messages": turns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(transcript: &Transcript) -> Vec<String> {
        let turns = transcript.conversation().messages;
        turns
            .iter()
            .map(|turn| format!("{}: {}", turn.role, turn.content))
            .collect()
    }

    #[test]
    fn turns_are_kept_forgotten_and_cleared() {
        let mut transcript = Transcript::new(Some("Be brief.".into()));
        transcript.ask("Why?".into());
        transcript.answer("Because.".into(), String::new());
        assert_eq!(
            said(&transcript),
            ["system: Be brief.", "user: Why?", "assistant: Because."]
        );
        assert!(transcript.forget_answer());
        assert_eq!(said(&transcript), ["system: Be brief.", "user: Why?"]);
        transcript.forget_question();
        assert!(!transcript.forget_answer());
        transcript.instruct("");
        assert!(said(&transcript).is_empty());
        transcript.ask("Hm?".into());
        assert_eq!(
            transcript.to_json(),
            json!({"messages": [{"role": "user", "content": "Hm?"}]})
        );
        transcript.clear();
        assert!(said(&transcript).is_empty());
    }
}
