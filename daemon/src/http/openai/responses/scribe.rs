//! Writes an answer down as it comes, and tells each step.

use airunner_core::Fault;
use airunner_core::generate::{Done, FinishReason, GenerateEvent, TextDelta, ToolCallDelta};
use serde_json::{Value, json};

use super::output::{IncompleteDetails, OutputItem, OutputPart, ResponseObject, ResponseUsage};
use crate::http::openai::identity::{now, unique};
use crate::http::openai::logprobs::{TokenChance, chances};

/// An answer in the making. What is open is always its last item.
pub(super) struct Scribe {
    pub(super) response: ResponseObject,
    open: Option<Open>,
    events: u64,
    reasoning_tokens: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Message,
    Reasoning,
    Call(u32),
}

impl Scribe {
    pub(super) const fn new(response: ResponseObject) -> Self {
        Self {
            response,
            open: None,
            events: 0,
            reasoning_tokens: 0,
        }
    }

    pub(super) fn begin(&mut self) -> Vec<Value> {
        vec![
            self.of_response("response.created"),
            self.of_response("response.in_progress"),
        ]
    }

    /// The steps that an event of the model makes.
    pub(super) fn write(&mut self, event: GenerateEvent) -> Result<Vec<Value>, Fault> {
        match event {
            GenerateEvent::Text(delta) => self.text(delta),
            GenerateEvent::Reasoning(delta) => self.thought(&delta.text),
            GenerateEvent::ToolCall(delta) => self.call(delta),
            GenerateEvent::Done(done) => self.done(&done),
            GenerateEvent::Queued(_) | GenerateEvent::Loading(_) | GenerateEvent::Prompt { .. } => {
                Ok(Vec::new())
            }
        }
    }

    /// The last step.
    pub(super) fn end(&mut self) -> Value {
        self.of_response(match self.response.status {
            "completed" => "response.completed",
            "incomplete" => "response.incomplete",
            _ => "response.failed",
        })
    }

    /// It went wrong.
    pub(super) fn fail(&mut self, fault: &Fault) -> Value {
        self.response.fail(fault);
        self.end()
    }

    fn text(&mut self, delta: TextDelta) -> Result<Vec<Value>, Fault> {
        let mut steps = self.turn_to(Open::Message, || {
            Ok(OutputItem::Message {
                id: unique("msg_")?,
                status: "in_progress",
                role: "assistant",
                content: Vec::new(),
            })
        })?;
        let new = chances(&delta.logprobs);
        if let Some(OutputPart::OutputText { text, logprobs, .. }) = self.part() {
            text.push_str(&delta.text);
            logprobs.extend(new.clone());
        }
        let fields = json!({"content_index": 0, "delta": delta.text, "logprobs": new});
        steps.push(self.of_item("response.output_text.delta", fields));
        Ok(steps)
    }

    fn thought(&mut self, delta: &str) -> Result<Vec<Value>, Fault> {
        self.reasoning_tokens += 1;
        let mut steps = self.turn_to(Open::Reasoning, || {
            Ok(OutputItem::Reasoning {
                id: unique("rs_")?,
                status: "in_progress",
                summary: Vec::new(),
                content: Vec::new(),
            })
        })?;
        if let Some(OutputPart::ReasoningText { text }) = self.part() {
            text.push_str(delta);
        }
        let fields = json!({"content_index": 0, "delta": delta});
        steps.push(self.of_item("response.reasoning_text.delta", fields));
        Ok(steps)
    }

    fn call(&mut self, delta: ToolCallDelta) -> Result<Vec<Value>, Fault> {
        let (call_id, name) = (delta.id.unwrap_or_default(), delta.name.unwrap_or_default());
        let mut steps = self.turn_to(Open::Call(delta.index), || {
            Ok(OutputItem::FunctionCall {
                id: unique("fc_")?,
                status: "in_progress",
                call_id,
                name,
                arguments: String::new(),
            })
        })?;
        if delta.arguments.is_empty() {
            return Ok(steps);
        }
        if let Some(OutputItem::FunctionCall { arguments, .. }) = self.response.output.last_mut() {
            arguments.push_str(&delta.arguments);
        }
        let fields = json!({"delta": delta.arguments});
        steps.push(self.of_item("response.function_call_arguments.delta", fields));
        Ok(steps)
    }

    fn done(&mut self, done: &Done) -> Result<Vec<Value>, Fault> {
        let is_cut = done.finish_reason == FinishReason::Length;
        let mut steps = Vec::new();
        if self.response.output.is_empty() {
            // An answer has a message, also one that says nothing.
            steps.extend(self.text(TextDelta::default())?);
        }
        steps.extend(self.close(if is_cut { "incomplete" } else { "completed" }));
        self.response.usage = Some(ResponseUsage::of(done, self.reasoning_tokens));
        if is_cut {
            self.response.status = "incomplete";
            self.response.incomplete_details = Some(IncompleteDetails {
                reason: "max_output_tokens",
            });
        } else {
            self.response.status = "completed";
            self.response.completed_at = Some(now());
        }
        Ok(steps)
    }

    /// Closes what is open, unless it is that already, and opens the item.
    fn turn_to(
        &mut self,
        open: Open,
        item: impl FnOnce() -> Result<OutputItem, Fault>,
    ) -> Result<Vec<Value>, Fault> {
        if self.open == Some(open) {
            return Ok(Vec::new());
        }
        let mut steps = self.close("completed");
        self.open = Some(open);
        self.response.output.push(item()?);
        let item = json!(self.response.output.last());
        steps.push(self.of_output("response.output_item.added", json!({ "item": item })));
        let part = match open {
            Open::Message => OutputPart::OutputText {
                text: String::new(),
                annotations: Vec::new(),
                logprobs: Vec::new(),
            },
            Open::Reasoning => OutputPart::ReasoningText { text: String::new() },
            Open::Call(_) => return Ok(steps),
        };
        let fields = json!({"content_index": 0, "part": part});
        if let Some(parts) = self.parts() {
            parts.push(part);
        }
        steps.push(self.of_item("response.content_part.added", fields));
        Ok(steps)
    }

    fn close(&mut self, status: &'static str) -> Vec<Value> {
        let Some(open) = self.open.take() else {
            return Vec::new();
        };
        let mut steps = match open {
            Open::Message | Open::Reasoning => self.close_part(),
            Open::Call(_) => self.close_call(),
        };
        if let Some(
            OutputItem::Message { status: told, .. }
            | OutputItem::Reasoning { status: told, .. }
            | OutputItem::FunctionCall { status: told, .. },
        ) = self.response.output.last_mut()
        {
            *told = status;
        }
        let item = json!(self.response.output.last());
        steps.push(self.of_output("response.output_item.done", json!({ "item": item })));
        steps
    }

    fn close_part(&mut self) -> Vec<Value> {
        let Some(part) = self.part().cloned() else {
            return Vec::new();
        };
        let (kind, fields) = match &part {
            OutputPart::OutputText { text, logprobs, .. } => {
                ("response.output_text.done", text_done(text, logprobs))
            }
            OutputPart::ReasoningText { text } => (
                "response.reasoning_text.done",
                json!({"content_index": 0, "text": text}),
            ),
        };
        vec![
            self.of_item(kind, fields),
            self.of_item(
                "response.content_part.done",
                json!({"content_index": 0, "part": part}),
            ),
        ]
    }

    fn close_call(&mut self) -> Vec<Value> {
        let fields = match self.response.output.last() {
            Some(OutputItem::FunctionCall { name, arguments, .. }) => {
                json!({"name": name, "arguments": arguments})
            }
            Some(OutputItem::Message { .. } | OutputItem::Reasoning { .. }) | None => return Vec::new(),
        };
        vec![self.of_item("response.function_call_arguments.done", fields)]
    }

    fn parts(&mut self) -> Option<&mut Vec<OutputPart>> {
        match self.response.output.last_mut()? {
            OutputItem::Message { content, .. } | OutputItem::Reasoning { content, .. } => Some(content),
            OutputItem::FunctionCall { .. } => None,
        }
    }

    fn part(&mut self) -> Option<&mut OutputPart> {
        self.parts()?.last_mut()
    }

    fn of_response(&mut self, kind: &str) -> Value {
        let response = self.response.json();
        self.step(kind, json!({ "response": response }))
    }

    fn of_item(&mut self, kind: &str, mut fields: Value) -> Value {
        if let Some(
            OutputItem::Message { id, .. }
            | OutputItem::Reasoning { id, .. }
            | OutputItem::FunctionCall { id, .. },
        ) = self.response.output.last()
        {
            fields["item_id"] = id.clone().into();
        }
        self.of_output(kind, fields)
    }

    fn of_output(&mut self, kind: &str, mut fields: Value) -> Value {
        fields["output_index"] = self.response.output.len().saturating_sub(1).into();
        self.step(kind, fields)
    }

    fn step(&mut self, kind: &str, fields: Value) -> Value {
        let mut step = json!({"type": kind, "sequence_number": self.events});
        self.events += 1;
        if let (Some(step), Value::Object(fields)) = (step.as_object_mut(), fields) {
            step.extend(fields);
        }
        step
    }
}

fn text_done(text: &str, logprobs: &[TokenChance]) -> Value {
    json!({"content_index": 0, "text": text, "logprobs": logprobs})
}
