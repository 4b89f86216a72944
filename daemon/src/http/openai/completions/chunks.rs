//! Answers in pieces.

use airunner_core::generate::{Done, GenerateEvent, TextDelta};

use super::response::{Completion, CompletionChoice, CompletionHead, CompletionLogprobs, finish};
use crate::http::openai::usage::CompletionUsage;
use crate::http::openai::writing::{Line, Writer, json};

/// Writes the pieces of all answers.
pub(super) struct Chunks {
    pub(super) head: CompletionHead,
    /// One per prompt; empty where it is not to be repeated.
    pub(super) prompts: Vec<String>,
    /// Answers to each prompt.
    pub(super) choices: u32,
    pub(super) logprobs: bool,
    pub(super) include_usage: bool,
    /// How each answer ended.
    pub(super) ended: Vec<Option<Done>>,
    /// Characters of each answer so far.
    pub(super) written: Vec<usize>,
}

impl Chunks {
    pub(super) fn new(
        head: CompletionHead,
        prompts: Vec<String>,
        choices: u32,
        logprobs: bool,
        include_usage: bool,
    ) -> Self {
        let answers = prompts.len() * choices as usize;
        Self {
            head,
            prompts,
            choices,
            logprobs,
            include_usage,
            ended: vec![None; answers],
            written: vec![0; answers],
        }
    }

    fn chunk(&self, choices: Vec<CompletionChoice>) -> Completion {
        Completion {
            head: self.head.clone(),
            choices,
            usage: self.include_usage.then_some(None),
            timings: None,
        }
    }

    fn text(&mut self, index: u32, delta: TextDelta) -> Vec<Line> {
        let Some(written) = self.written.get_mut(index as usize) else {
            return Vec::new();
        };
        let offset = *written;
        *written += delta.text.chars().count();
        let choice = CompletionChoice {
            index,
            logprobs: self
                .logprobs
                .then(|| CompletionLogprobs::of(&delta.logprobs, offset)),
            text: delta.text,
            finish_reason: None,
        };
        vec![json(&self.chunk(vec![choice]))]
    }

    fn done(&mut self, index: u32, done: Done) -> Vec<Line> {
        let choice = CompletionChoice {
            index,
            text: String::new(),
            logprobs: None,
            finish_reason: Some(finish(&done)),
        };
        let chunk = Completion {
            timings: Some((&done).into()),
            ..self.chunk(vec![choice])
        };
        if let Some(place) = self.ended.get_mut(index as usize) {
            *place = Some(done);
        }
        vec![json(&chunk)]
    }
}

impl Writer for Chunks {
    fn begin(&mut self) -> Vec<Line> {
        let per_prompt = self.choices.max(1);
        let repeated = (0_u32..)
            .zip(&self.prompts)
            .filter(|(_, prompt)| !prompt.is_empty());
        repeated
            .flat_map(|(place, prompt)| {
                (place * per_prompt..(place + 1) * per_prompt).map(move |index| (index, prompt))
            })
            .map(|(index, prompt)| CompletionChoice {
                index,
                text: prompt.clone(),
                logprobs: None,
                finish_reason: None,
            })
            .map(|choice| json(&self.chunk(vec![choice])))
            .collect()
    }

    fn write(&mut self, choice: u32, event: GenerateEvent) -> Vec<Line> {
        match event {
            // What follows a text is text, also where it looks like thoughts.
            GenerateEvent::Text(text) | GenerateEvent::Reasoning(text) => self.text(choice, text),
            GenerateEvent::Done(done) => self.done(choice, done),
            GenerateEvent::ToolCall(_)
            | GenerateEvent::Queued(_)
            | GenerateEvent::Loading(_)
            | GenerateEvent::Prompt { .. } => Vec::new(),
        }
    }

    fn end(&mut self) -> Vec<Line> {
        if !self.include_usage {
            return Vec::new();
        }
        let mut usage = CompletionUsage::default();
        for answers in self.ended.chunks(self.choices.max(1) as usize) {
            let dones: Vec<&Done> = answers.iter().flatten().collect();
            usage.add(&CompletionUsage::of_prompt(&dones, 0));
        }
        vec![json(&Completion {
            usage: Some(Some(usage)),
            ..self.chunk(Vec::new())
        })]
    }
}
