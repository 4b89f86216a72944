//! Putting the pieces of an answer together.

use airunner_core::generate::{Done, GenerateEvent, TokenLogprob, ToolCallDelta};

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What the model said.
    pub text: String,
    /// What it thought before, if it shows that.
    pub reasoning: String,
    /// What it called, in order.
    pub tool_calls: Vec<CalledTool>,
    /// Of the tokens of `text`; empty unless asked for.
    pub logprobs: Vec<TokenLogprob>,
    /// Why it ended, and what it cost.
    pub done: Done,
}

/// A call as the model wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalledTool {
    /// Identifies the call in the turn that answers it.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// JSON text, not checked.
    pub arguments: String,
}

/// Collects events into an [`Answer`]; also says what there is so far.
#[derive(Clone, Debug, Default)]
pub struct AnswerBuilder {
    text: String,
    reasoning: String,
    tool_calls: Vec<CalledTool>,
    logprobs: Vec<TokenLogprob>,
}

impl AnswerBuilder {
    /// Adds an event; the last one completes the answer and leaves the builder empty.
    pub fn push(&mut self, event: GenerateEvent) -> Option<Answer> {
        match event {
            GenerateEvent::Queued(_) | GenerateEvent::Loading(_) | GenerateEvent::Prompt { .. } => {}
            GenerateEvent::Text(delta) => {
                self.text.push_str(&delta.text);
                self.logprobs.extend(delta.logprobs);
            }
            GenerateEvent::Reasoning(delta) => self.reasoning.push_str(&delta.text),
            GenerateEvent::ToolCall(delta) => self.call(delta),
            GenerateEvent::Done(done) => {
                let Self {
                    text,
                    reasoning,
                    tool_calls,
                    logprobs,
                } = std::mem::take(self);
                return Some(Answer {
                    text,
                    reasoning,
                    tool_calls,
                    logprobs,
                    done,
                });
            }
        }
        None
    }

    /// The answer as far as it came, for one that is given up.
    #[must_use]
    pub fn end(self, done: Done) -> Answer {
        let Self {
            text,
            reasoning,
            tool_calls,
            logprobs,
        } = self;
        Answer {
            text,
            reasoning,
            tool_calls,
            logprobs,
            done,
        }
    }

    /// The text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Calls come in order; a piece of one that never began is dropped.
    fn call(&mut self, delta: ToolCallDelta) {
        let index = usize::try_from(delta.index).unwrap_or(usize::MAX);
        if index == self.tool_calls.len() {
            self.tool_calls.push(CalledTool::default());
        }
        let Some(call) = self.tool_calls.get_mut(index) else {
            return;
        };
        call.id.extend(delta.id);
        call.name.extend(delta.name);
        call.arguments.push_str(&delta.arguments);
    }
}

#[cfg(test)]
mod tests {
    use airunner_core::generate::{FinishReason, TextDelta, Timings, Usage};
    use airunner_core::model::Queued;

    use super::*;

    fn text(text: &str) -> GenerateEvent {
        GenerateEvent::Text(TextDelta {
            text: text.into(),
            logprobs: Vec::new(),
        })
    }

    fn call(index: u32, name: Option<&str>, arguments: &str) -> GenerateEvent {
        GenerateEvent::ToolCall(ToolCallDelta {
            index,
            id: name.map(|name| format!("call_{name}")),
            name: name.map(Into::into),
            arguments: arguments.into(),
        })
    }

    fn done() -> Done {
        let (usage, timings) = (Usage::default(), Timings::default());
        Done {
            finish_reason: FinishReason::Stop,
            stop_sequence: None,
            usage,
            timings,
        }
    }

    #[test]
    fn pieces_make_a_whole() {
        let mut builder = AnswerBuilder::default();
        for event in [
            GenerateEvent::Queued(Queued::default()),
            GenerateEvent::Reasoning(TextDelta {
                text: "Hm.".into(),
                logprobs: Vec::new(),
            }),
            text("It is "),
            text("late."),
            call(0, Some("clock"), "{\"zone\""),
            call(0, None, ":1}"),
            call(1, Some("bell"), "{}"),
            call(7, None, "nonsense"),
        ] {
            assert_eq!(builder.push(event), None);
        }
        assert_eq!(builder.text(), "It is late.");
        let answer = builder.push(GenerateEvent::Done(done())).unwrap();
        assert_eq!(
            (answer.text.as_str(), answer.reasoning.as_str()),
            ("It is late.", "Hm.")
        );
        let calls: Vec<_> = answer
            .tool_calls
            .iter()
            .map(|call| (&*call.name, &*call.arguments))
            .collect();
        assert_eq!(calls, [("clock", "{\"zone\":1}"), ("bell", "{}")]);
        assert_eq!(builder.text(), "");
    }
}
