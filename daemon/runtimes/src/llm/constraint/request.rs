//! What a request asks its answer to be held to.

use airunner_core::Fault;
use airunner_core::chat::Tool;
use airunner_core::generate::{GenerateRequest, Input, OutputFormat, ToolChoice};
use serde_json::{Value, json};

use super::answer::Constraint;
use super::grammar::{Begin, Calling, Grammar, Place, Plan};
use super::tools;
use super::vocabulary::Constraints;
use crate::llm::text::{Body, Prompt, TextModel, Thinking};

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
        let asked = Asked {
            text,
            request,
            prompt,
        };
        let constraint = match (&request.tool_choice, asked.format()) {
            (ToolChoice::Required | ToolChoice::Function(_), _) => self.of(asked.forced_calls()?)?,
            (ToolChoice::Auto | ToolChoice::None, Some(grammar)) => self.of(asked.held(grammar))?,
            (ToolChoice::None, None) => return Ok(None),
            (ToolChoice::Auto, None) => {
                let Some(plan) = asked.possible_calls() else {
                    return Ok(None);
                };
                match self.of(plan) {
                    Ok(constraint) => constraint,
                    Err(error) => {
                        // A tool's schema that cannot be enforced does not keep the model from calling it.
                        tracing::debug!(%error, "calls are not held to their schemas");
                        return Ok(None);
                    }
                }
            }
        };
        Ok(Some(Box::new(constraint)))
    }
}

/// A request with what is known of its model.
struct Asked<'a> {
    text: &'a TextModel,
    request: &'a GenerateRequest,
    prompt: &'a Prompt,
}

impl Asked<'_> {
    fn tools(&self) -> &[Tool] {
        match &self.request.input {
            Input::Conversation(conversation) => &conversation.tools,
            Input::Raw(_) | Input::Tokens(_) => &[],
        }
    }

    fn calls(&self, tools: &[Tool], place: Place) -> Option<Grammar> {
        let format = self.text.call_format().filter(|_| !tools.is_empty())?;
        Some(Grammar::Calls(Box::new(Calling {
            format: format.clone(),
            tools: tools.to_vec(),
            parallel: self.request.parallel_tool_calls,
            place,
        })))
    }

    fn has_channels(&self) -> bool {
        let format = self.text.call_format();
        format.is_some_and(|format| format.body == Body::Channels)
    }

    fn format(&self) -> Option<Grammar> {
        let schema = match &self.request.format {
            OutputFormat::Text => return None,
            OutputFormat::Regex(expression) => return Some(Grammar::Regex(expression.clone())),
            OutputFormat::JsonObject => json!({"type": "object"}),
            OutputFormat::JsonSchema(schema) => schema.clone(),
        };
        Some(self.or_calls(schema))
    }

    /// Tools may be called instead of answering.
    fn or_calls(&self, schema: Value) -> Grammar {
        let tools = match self.request.tool_choice {
            ToolChoice::Auto => self.tools(),
            ToolChoice::None | ToolChoice::Required | ToolChoice::Function(_) => &[],
        };
        if tools.is_empty() || self.has_channels() || self.text.call_format().is_none() {
            return Grammar::Json(schema);
        }
        self.calls(tools, Place::OrElse(schema.clone()))
            .unwrap_or(Grammar::Json(schema))
    }

    fn held(&self, grammar: Grammar) -> Plan {
        let mut plan = Plan::new(grammar, self.begin());
        plan.beginning = self.prompt.beginning().to_owned();
        plan
    }

    /// Reasoning stays free.
    fn begin(&self) -> Begin {
        match self.text.thinking(self.prompt) {
            Thinking::None => Begin::Now,
            Thinking::Channels => Begin::Behind {
                marks: FINAL_CHANNEL.map(str::to_owned).to_vec(),
                // A call of a tool ends the answer too.
                is_required: self.request.tool_choice == ToolChoice::None || self.tools().is_empty(),
            },
            Thinking::Inside { close } => Begin::BehindReasoning {
                close: close.to_owned(),
            },
            Thinking::Possible { open, close } => match self.text.tokenizer().token_to_id(open) {
                Some(open) => Begin::NowOrBehindReasoning {
                    open,
                    close: close.to_owned(),
                },
                None => Begin::Now,
            },
        }
    }

    fn forced_calls(&self) -> Result<Plan, Fault> {
        let named = match &self.request.tool_choice {
            ToolChoice::Function(name) => self.tools().iter().find(|tool| &tool.name == name),
            ToolChoice::Auto | ToolChoice::None | ToolChoice::Required => None,
        };
        let tools = named.map_or(self.tools(), std::slice::from_ref);
        let calls = self.calls(tools, Place::WholeAnswer).ok_or_else(|| {
            Fault::invalid(
                "this model's chat template does not say how tools are called: none can be forced; use the tool \
                 choice auto, or another model",
            )
        })?;
        let begin = match self.text.thinking(self.prompt) {
            // The rules have the other channels.
            Thinking::Channels => Begin::Now,
            Thinking::None | Thinking::Inside { .. } | Thinking::Possible { .. } => self.begin(),
        };
        Ok(Plan::new(calls, begin))
    }

    /// Calls that the model may make or not.
    fn possible_calls(&self) -> Option<Plan> {
        let format = self.text.call_format()?;
        let begin = match tools::trigger(format) {
            Some(mark) => Begin::Behind {
                marks: vec![mark.to_owned()],
                is_required: false,
            },
            None => Begin::With {
                heads: tools::heads(format, self.tools()),
            },
        };
        let mut plan = Plan::new(self.calls(self.tools(), Place::BehindTrigger)?, begin);
        plan.reasoning = match self.text.thinking(self.prompt) {
            Thinking::Inside { close } => Some((close.to_owned(), close.to_owned(), true)),
            Thinking::Possible { open, close } => Some((open.to_owned(), close.to_owned(), false)),
            Thinking::None | Thinking::Channels => None,
        };
        plan.repeats = self.request.parallel_tool_calls && !self.has_channels();
        Some(plan)
    }
}
