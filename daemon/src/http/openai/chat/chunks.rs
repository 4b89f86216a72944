//! An answer in pieces.

use airunner_core::generate::{Done, GenerateEvent, TextDelta, ToolCallDelta};

use super::response::{
    CallDelta, ChatCompletionChunk, ChatDelta, ChatHead, ChunkChoice, FunctionDelta, Shape, finish,
};
use crate::http::openai::logprobs::ChoiceLogprobs;
use crate::http::openai::usage::CompletionUsage;
use crate::http::openai::writing::{Line, Writer, json};

/// Writes the pieces of all choices: the role first, then what comes, the reason of the end, and
/// at last what all of it cost, if that is wanted.
pub(super) struct Chunks {
    head: ChatHead,
    choices: u32,
    shape: Shape,
    include_usage: bool,
    ended: Vec<Done>,
    reasoning_tokens: u64,
}

impl Chunks {
    pub(super) const fn new(head: ChatHead, choices: u32, shape: Shape, include_usage: bool) -> Self {
        Self {
            head,
            choices,
            shape,
            include_usage,
            ended: Vec::new(),
            reasoning_tokens: 0,
        }
    }

    fn chunk(&self, choices: Vec<ChunkChoice>) -> ChatCompletionChunk {
        ChatCompletionChunk {
            head: self.head.clone(),
            choices,
            usage: self.include_usage.then_some(None),
            timings: None,
        }
    }

    fn delta(&self, index: u32, delta: ChatDelta, logprobs: Option<ChoiceLogprobs>) -> Vec<Line> {
        vec![json(&self.chunk(vec![ChunkChoice {
            index,
            delta,
            logprobs,
            finish_reason: None,
        }]))]
    }

    fn text(&self, index: u32, text: TextDelta) -> Vec<Line> {
        let logprobs = self.shape.logprobs.then(|| ChoiceLogprobs::of(&text.logprobs));
        let delta = ChatDelta {
            content: Some(text.text),
            ..ChatDelta::default()
        };
        self.delta(index, delta, logprobs)
    }

    fn call(&self, index: u32, call: ToolCallDelta) -> Vec<Line> {
        let function = FunctionDelta {
            name: call.name,
            arguments: call.arguments,
        };
        let delta = if self.shape.legacy {
            if call.index > 0 {
                // Who asks in the older form knows of one call only.
                return Vec::new();
            }
            ChatDelta {
                function_call: Some(function),
                ..ChatDelta::default()
            }
        } else {
            ChatDelta {
                tool_calls: Some(vec![CallDelta {
                    index: call.index,
                    r#type: call.id.is_some().then_some("function"),
                    id: call.id,
                    function,
                }]),
                ..ChatDelta::default()
            }
        };
        self.delta(index, delta, None)
    }

    fn done(&mut self, index: u32, done: Done) -> Vec<Line> {
        let mut chunk = self.chunk(vec![ChunkChoice {
            index,
            delta: ChatDelta::default(),
            logprobs: None,
            finish_reason: Some(finish(done.finish_reason, self.shape.legacy)),
        }]);
        chunk.timings = Some((&done).into());
        self.ended.push(done);
        vec![json(&chunk)]
    }
}

impl Writer for Chunks {
    fn begin(&mut self) -> Vec<Line> {
        let role = |index| {
            let delta = ChatDelta {
                role: Some("assistant"),
                content: Some(String::new()),
                ..ChatDelta::default()
            };
            self.delta(index, delta, None)
        };
        (0..self.choices).flat_map(role).collect()
    }

    fn write(&mut self, choice: u32, event: GenerateEvent) -> Vec<Line> {
        match event {
            GenerateEvent::Text(text) => self.text(choice, text),
            GenerateEvent::Reasoning(text) => {
                self.reasoning_tokens += 1;
                let delta = ChatDelta {
                    reasoning_content: Some(text.text),
                    ..ChatDelta::default()
                };
                self.delta(choice, delta, None)
            }
            GenerateEvent::ToolCall(call) => self.call(choice, call),
            GenerateEvent::Done(done) => self.done(choice, done),
            GenerateEvent::Queued(_) | GenerateEvent::Loading(_) | GenerateEvent::Prompt { .. } => Vec::new(),
        }
    }

    fn end(&mut self) -> Vec<Line> {
        if !self.include_usage {
            return Vec::new();
        }
        let dones: Vec<&Done> = self.ended.iter().collect();
        let usage = CompletionUsage::of_prompt(&dones, self.reasoning_tokens);
        vec![json(&ChatCompletionChunk {
            usage: Some(Some(usage)),
            ..self.chunk(Vec::new())
        })]
    }
}
