//! What a request asks its answer to be held to.

use airunner_core::Fault;
use airunner_core::generate::{GenerateRequest, OutputFormat};
use serde_json::json;

use super::answer::Constraint;
use super::grammar::{Begin, Grammar, Plan};
use super::vocabulary::Constraints;
use crate::llm::text::{Prompt, TextModel, Thinking};

/// Where the answer of a model that writes in channels begins.
const FINAL_CHANNEL: [&str; 2] = ["<|channel|>final", "<|message|>"];

impl Constraints {
    /// What the answer to a request is held to, if to anything. May take long.
    pub(crate) fn for_request(
        &self,
        text: &TextModel,
        request: &GenerateRequest,
        prompt: &Prompt,
    ) -> Result<Option<Box<Constraint>>, Fault> {
        let grammar = match &request.format {
            OutputFormat::Text => return Ok(None),
            OutputFormat::JsonObject => Grammar::Json(json!({"type": "object"})),
            OutputFormat::JsonSchema(schema) => Grammar::Json(schema.clone()),
            OutputFormat::Regex(expression) => Grammar::Regex(expression.clone()),
        };
        let mut plan = Plan::new(grammar, begin(text, prompt));
        plan.beginning = prompt.beginning().to_owned();
        Ok(Some(Box::new(self.of(plan)?)))
    }
}

/// Reasoning stays free.
fn begin(text: &TextModel, prompt: &Prompt) -> Begin {
    let marks = || FINAL_CHANNEL.map(str::to_owned).to_vec();
    match text.thinking(prompt) {
        Thinking::None => Begin::Now,
        Thinking::Channels => Begin::Behind {
            marks: marks(),
            is_required: true,
        },
        Thinking::Inside { close } => Begin::BehindReasoning {
            close: close.to_owned(),
        },
        Thinking::Possible { open, close } => match text.tokenizer().token_to_id(open) {
            Some(open) => Begin::NowOrBehindReasoning {
                open,
                close: close.to_owned(),
            },
            None => Begin::Now,
        },
    }
}
