//! What is put into a request that does not say it itself.

use crate::chat::{Conversation, Message};
use crate::generate::{GenerateRequest, Input, Sampling};

/// What somebody who made a model of another one wants of its answers. They hold for every way
/// of asking; what a request says itself goes before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// Put before conversations that have no system message.
    pub system: Option<String>,
    pub sampling: Sampling,
    pub stop: Vec<String>,
    /// Tokens of an answer.
    pub max_tokens: Option<u32>,
    /// Tokens of a conversation.
    pub context_length: Option<u32>,
    /// Turns that every conversation begins with, without a system message.
    pub messages: Vec<Message>,
}

impl Defaults {
    /// Completes a request.
    pub fn complete(&self, request: &mut GenerateRequest) {
        request.sampling = std::mem::take(&mut request.sampling).or(&self.sampling);
        request.max_tokens = request.max_tokens.or(self.max_tokens);
        if request.stop.is_empty() {
            request.stop.clone_from(&self.stop);
        }
        match &mut request.input {
            Input::Conversation(conversation) => self.introduce(conversation),
            Input::Raw(_) | Input::Tokens(_) => {}
        }
    }

    /// Puts the system message before a conversation that has none, and the opening turns behind
    /// it. What goes on from an earlier exchange has had both.
    pub fn introduce(&self, conversation: &mut Conversation) {
        if !conversation.earlier.is_empty() {
            return;
        }
        let messages = &mut conversation.messages;
        let is_told = |message: &Message| matches!(message.role.as_str(), "system" | "developer");
        let told = self.system.as_ref().filter(|_| !messages.iter().any(is_told));
        if let Some(system) = told {
            messages.insert(0, Message::new("system", system.as_str()));
        }
        let at = messages.iter().take_while(|message| is_told(message)).count();
        messages.splice(at..at, self.messages.iter().cloned());
    }

    /// What these leave open is taken from `fallback`.
    #[must_use]
    pub fn or(self, fallback: &Self) -> Self {
        Self {
            system: self.system.or_else(|| fallback.system.clone()),
            sampling: self.sampling.or(&fallback.sampling),
            stop: if self.stop.is_empty() {
                fallback.stop.clone()
            } else {
                self.stop
            },
            max_tokens: self.max_tokens.or(fallback.max_tokens),
            context_length: self.context_length.or(fallback.context_length),
            messages: if self.messages.is_empty() {
                fallback.messages.clone()
            } else {
                self.messages
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ModelName;

    fn pirate() -> Defaults {
        Defaults {
            system: Some("You are a pirate.".to_owned()),
            sampling: Sampling {
                temperature: Some(0.5),
                top_k: Some(10),
                ..Sampling::default()
            },
            stop: vec!["END".to_owned()],
            max_tokens: Some(7),
            context_length: None,
            messages: vec![Message::new("user", "Who?"), Message::new("assistant", "Arr")],
        }
    }

    fn request(input: Input) -> GenerateRequest {
        GenerateRequest::new(ModelName::new("tiny").unwrap(), input)
    }

    fn conversation(roles: &[&str]) -> Input {
        Input::Conversation(Conversation {
            messages: roles.iter().map(|role| Message::new(*role, "x")).collect(),
            ..Conversation::default()
        })
    }

    fn roles(request: &GenerateRequest) -> Vec<&str> {
        match &request.input {
            Input::Conversation(conversation) => {
                let messages = conversation.messages.iter();
                messages.map(|message| message.role.as_str()).collect()
            }
            Input::Raw(_) | Input::Tokens(_) => Vec::new(),
        }
    }

    #[test]
    fn what_a_request_says_goes_before() {
        let mut open = request(conversation(&["user"]));
        pirate().complete(&mut open);
        assert_eq!(roles(&open), ["system", "user", "assistant", "user"]);
        assert_eq!(
            (open.max_tokens, open.stop.len(), open.sampling.top_k),
            (Some(7), 1, Some(10))
        );

        let mut told = request(conversation(&["developer", "user"]));
        told.max_tokens = Some(1);
        told.stop = vec!["a".to_owned(), "b".to_owned()];
        told.sampling.temperature = Some(0.0);
        pirate().complete(&mut told);
        assert_eq!(roles(&told), ["developer", "user", "assistant", "user"]);
        assert_eq!((told.max_tokens, told.stop.len()), (Some(1), 2));
        assert_eq!(told.sampling.temperature, Some(0.0));

        let mut later = request(conversation(&["user"]));
        if let Input::Conversation(conversation) = &mut later.input {
            conversation.earlier = vec![1];
        }
        pirate().complete(&mut later);
        assert_eq!(roles(&later), ["user"], "it began with both");

        let mut raw = request(Input::Raw("x".to_owned()));
        pirate().complete(&mut raw);
        assert_eq!(raw.input, Input::Raw("x".to_owned()));
    }

    #[test]
    fn newer_wishes_cover_older_ones() {
        let newer = Defaults {
            max_tokens: Some(9),
            ..Defaults::default()
        };
        let both = newer.or(&pirate());
        assert_eq!((both.max_tokens, both.system), (Some(9), pirate().system));
    }
}
