//! An answer as events: blocks that begin, grow and end, one after the other.

use airunner_core::Fault;
use airunner_core::generate::{Done, GenerateEvent, ToolCallDelta, Usage};
use axum::response::sse::Event;
use serde_json::{Value, json};

use super::super::family::Family;
use super::answer::{Head, UsageOut, signature};

/// Writes the events of one answer, in the order clients insist on.
pub(super) struct Events {
    head: Head,
    begun: bool,
    ended: bool,
    /// The block that grows.
    open: Option<Open>,
    /// Blocks so far.
    count: usize,
}

enum Open {
    Text,
    /// With all of it so far.
    Thinking(String),
    Call,
}

impl Events {
    pub(super) fn new(head: Head) -> Self {
        Self {
            head,
            begun: false,
            ended: false,
            open: None,
            count: 0,
        }
    }

    /// What an event of the model, or its failure, means to the client.
    pub(super) fn of(&mut self, event: Result<GenerateEvent, Fault>) -> Vec<Value> {
        let mut said = Vec::new();
        match event {
            Ok(GenerateEvent::Queued(_) | GenerateEvent::Loading(_)) => {}
            Ok(GenerateEvent::Prompt {
                total_tokens,
                cached_tokens,
                ..
            }) => self.begin(total_tokens, cached_tokens, &mut said),
            Ok(GenerateEvent::Text(delta)) if delta.text.is_empty() => {}
            Ok(GenerateEvent::Text(delta)) => self.text(&delta.text, &mut said),
            Ok(GenerateEvent::Reasoning(delta)) => {
                if self.head.shows_thinking && !delta.text.is_empty() {
                    self.thinking(&delta.text, &mut said);
                }
            }
            Ok(GenerateEvent::ToolCall(delta)) => self.call(delta, &mut said),
            Ok(GenerateEvent::Done(done)) => self.end(&done, &mut said),
            Err(fault) => {
                self.ended = true;
                said.push(Family::Anthropic.error(&fault));
            }
        }
        said
    }

    /// What to say if nothing more comes; nothing after a proper end.
    pub(super) fn cut(&mut self) -> Option<Value> {
        let fault = Fault::internal("the answer ended too early");
        (!self.ended).then(|| Family::Anthropic.error(&fault))
    }

    fn begin(&mut self, prompt_tokens: u32, cached_tokens: u32, said: &mut Vec<Value>) {
        if self.begun {
            return;
        }
        self.begun = true;
        let usage = UsageOut::new(Usage {
            prompt_tokens,
            cached_tokens,
            completion_tokens: 0,
        });
        said.push(json!({"type": "message_start", "message": self.head.begin(usage)}));
    }

    fn text(&mut self, text: &str, said: &mut Vec<Value>) {
        if !matches!(self.open, Some(Open::Text)) {
            self.start(Open::Text, json!({"type": "text", "text": ""}), said);
        }
        self.grow(json!({"type": "text_delta", "text": text}), said);
    }

    fn thinking(&mut self, text: &str, said: &mut Vec<Value>) {
        if !matches!(self.open, Some(Open::Thinking(_))) {
            let block = json!({"type": "thinking", "thinking": "", "signature": ""});
            self.start(Open::Thinking(String::new()), block, said);
        }
        if let Some(Open::Thinking(all)) = &mut self.open {
            all.push_str(text);
        }
        self.grow(json!({"type": "thinking_delta", "thinking": text}), said);
    }

    fn call(&mut self, delta: ToolCallDelta, said: &mut Vec<Value>) {
        if let Some(name) = delta.name {
            let id = delta.id.unwrap_or_else(|| format!("toolu_{}", delta.index));
            let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
            self.start(Open::Call, block, said);
        }
        if !delta.arguments.is_empty() && matches!(self.open, Some(Open::Call)) {
            self.grow(
                json!({"type": "input_json_delta", "partial_json": delta.arguments}),
                said,
            );
        }
    }

    fn end(&mut self, done: &Done, said: &mut Vec<Value>) {
        self.begin(done.usage.prompt_tokens, done.usage.cached_tokens, said);
        self.stop(said);
        self.ended = true;
        said.push(json!({
            "type": "message_delta",
            "delta": {"stop_reason": self.head.stop_reason(done), "stop_sequence": done.stop_sequence},
            "usage": UsageOut::new(done.usage),
        }));
        said.push(json!({"type": "message_stop"}));
    }

    fn start(&mut self, open: Open, block: Value, said: &mut Vec<Value>) {
        self.begin(0, 0, said);
        self.stop(said);
        self.open = Some(open);
        said.push(json!({"type": "content_block_start", "index": self.count, "content_block": block}));
    }

    fn grow(&self, delta: Value, said: &mut Vec<Value>) {
        said.push(json!({"type": "content_block_delta", "index": self.count, "delta": delta}));
    }

    fn stop(&mut self, said: &mut Vec<Value>) {
        let Some(open) = self.open.take() else {
            return;
        };
        if let Open::Thinking(all) = open {
            let delta = json!({"type": "signature_delta", "signature": signature(&all)});
            self.grow(delta, said);
        }
        said.push(json!({"type": "content_block_stop", "index": self.count}));
        self.count += 1;
    }
}

/// Named by its type, as clients expect.
pub(super) fn event(value: &Value) -> Event {
    let name = value["type"].as_str().unwrap_or_default();
    Event::default().event(name).data(value.to_string())
}

/// So that no client takes a pause for the end.
pub(super) fn ping() -> Event {
    event(&json!({"type": "ping"}))
}

#[cfg(test)]
mod tests {
    use airunner_core::ErrorKind;
    use airunner_core::generate::{FinishReason, TextDelta, Timings};

    use super::super::super::answer::{Call, Whole};
    use super::*;

    fn head(shows_thinking: bool) -> Head {
        Head::new("tiny".into(), shows_thinking, 100).unwrap()
    }

    fn text(text: &str) -> TextDelta {
        TextDelta {
            text: text.to_owned(),
            logprobs: Vec::new(),
        }
    }

    fn call(index: u32, name: Option<&str>, arguments: &str) -> GenerateEvent {
        GenerateEvent::ToolCall(ToolCallDelta {
            index,
            id: name.map(|_| format!("id{index}")),
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
        })
    }

    fn done(finish_reason: FinishReason, stop_sequence: Option<&str>, completion_tokens: u32) -> Done {
        Done {
            finish_reason,
            stop_sequence: stop_sequence.map(str::to_owned),
            usage: Usage {
                prompt_tokens: 9,
                cached_tokens: 4,
                completion_tokens,
            },
            timings: Timings::default(),
        }
    }

    fn prompt() -> GenerateEvent {
        GenerateEvent::Prompt {
            processed_tokens: 0,
            total_tokens: 9,
            cached_tokens: 4,
        }
    }

    /// Types of events, with the index of the block.
    fn order(said: &[Value]) -> Vec<String> {
        said.iter()
            .map(|value| {
                let name = value["delta"]["type"]
                    .as_str()
                    .or(value["type"].as_str())
                    .unwrap();
                value["index"]
                    .as_u64()
                    .map_or_else(|| name.to_owned(), |index| format!("{name} {index}"))
            })
            .collect()
    }

    fn told(shows_thinking: bool, events: Vec<GenerateEvent>) -> Vec<Value> {
        let mut writer = Events::new(head(shows_thinking));
        let said = events
            .into_iter()
            .flat_map(|event| writer.of(Ok(event)))
            .collect();
        assert!(writer.cut().is_none());
        said
    }

    #[test]
    fn blocks_follow_each_other() {
        let said = told(
            true,
            vec![
                prompt(),
                prompt(),
                GenerateEvent::Reasoning(text("Hm")),
                GenerateEvent::Reasoning(text(".")),
                GenerateEvent::Text(text("I look.")),
                call(0, Some("f"), ""),
                call(0, None, "{\"x\""),
                call(0, None, ": 1}"),
                call(1, Some("g"), "{}"),
                GenerateEvent::Done(done(FinishReason::ToolCalls, None, 5)),
            ],
        );
        assert_eq!(
            order(&said),
            [
                "message_start",
                "content_block_start 0",
                "thinking_delta 0",
                "thinking_delta 0",
                "signature_delta 0",
                "content_block_stop 0",
                "content_block_start 1",
                "text_delta 1",
                "content_block_stop 1",
                "content_block_start 2",
                "input_json_delta 2",
                "input_json_delta 2",
                "content_block_stop 2",
                "content_block_start 3",
                "input_json_delta 3",
                "content_block_stop 3",
                "message_delta",
                "message_stop",
            ]
        );
        assert_eq!(said[0]["message"]["usage"]["input_tokens"], 5);
        assert_eq!(said[0]["message"]["usage"]["cache_read_input_tokens"], 4);
        assert_eq!(said[4]["delta"]["signature"], signature("Hm."));
        assert_eq!(said[16]["delta"]["stop_reason"], "tool_use");
        assert_eq!(said[16]["usage"]["output_tokens"], 5);
    }

    #[test]
    fn thoughts_that_nobody_asked_for_and_empty_answers_leave_no_block() {
        let end = || GenerateEvent::Done(done(FinishReason::Stop, None, 0));
        let said = told(false, vec![GenerateEvent::Reasoning(text("Hm")), end()]);
        assert_eq!(order(&said), ["message_start", "message_delta", "message_stop"]);
    }

    #[test]
    fn a_failure_is_the_last_event_in_its_own_form() {
        let mut writer = Events::new(head(true));
        writer.of(Ok(prompt()));
        assert!(writer.cut().is_some());
        let said = writer.of(Err(Fault::new(ErrorKind::QueueFull, "too many wait")));
        assert_eq!(said[0]["type"], "error");
        assert_eq!(said[0]["error"]["type"], "rate_limit_error");
        assert!(writer.cut().is_none());
    }

    #[test]
    fn reasons_tell_why_it_stopped() {
        let head = head(true);
        for (done, expected) in [
            (done(FinishReason::Stop, None, 5), "end_turn"),
            (done(FinishReason::Stop, Some("x"), 5), "stop_sequence"),
            (done(FinishReason::ToolCalls, None, 5), "tool_use"),
            (done(FinishReason::Length, None, 100), "max_tokens"),
            (
                done(FinishReason::Length, None, 99),
                "model_context_window_exceeded",
            ),
        ] {
            assert_eq!(head.stop_reason(&done), expected);
        }
    }

    #[test]
    fn a_whole_answer_has_the_same_blocks() {
        let whole = Whole {
            text: "I look.".into(),
            reasoning: "Hm.".into(),
            reasoning_tokens: 1,
            calls: vec![Call {
                id: "id0".into(),
                name: "f".into(),
                arguments: "{\"x\": 1}".into(),
            }],
            logprobs: Vec::new(),
            done: done(FinishReason::ToolCalls, None, 5),
        };
        let message = serde_json::to_value(head(true).whole(whole.clone())).unwrap();
        let types: Vec<_> = message["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| &block["type"])
            .collect();
        assert_eq!(types, ["thinking", "text", "tool_use"]);
        assert_eq!(message["content"][2]["input"]["x"], 1);
        let quiet = serde_json::to_value(head(false).whole(whole)).unwrap();
        assert_eq!(quiet["content"].as_array().unwrap().len(), 2);
        assert_eq!(quiet["stop_reason"], "tool_use");
    }
}
