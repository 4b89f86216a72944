//! What the fake model streams for one request, decided before the first token.

use airunner_core::ErrorKind;
use airunner_core::Fault;
use airunner_core::chat::Tool;
use airunner_core::generate::{
    FinishReason, GenerateRequest, Input, OutputFormat, TextDelta, TokenLogprob, ToolChoice,
};
use serde_json::{Value, json};

use super::script::{Script, ScriptedCall};
use super::smallest::smallest;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) prompt_tokens: u32,
    pub(super) reasoning: Vec<String>,
    pub(super) pieces: Vec<String>,
    /// Only if the finish reason says so.
    pub(super) calls: Vec<ScriptedCall>,
    pub(super) finish_reason: FinishReason,
    pub(super) stop_sequence: Option<String>,
    pub(super) top_logprobs: Option<u32>,
}

impl Answer {
    pub(super) fn to(request: &GenerateRequest, script: &Script) -> Result<Self, Fault> {
        let prompt = prompt_text(&request.input);
        let prompt_length = match &request.input {
            Input::Tokens(tokens) => tokens.len(),
            Input::Raw(_) => words(&prompt).len(),
            Input::Conversation(conversation) => conversation.earlier.len() + words(&prompt).len(),
        };
        let prompt_tokens = u32::try_from(prompt_length).unwrap_or(u32::MAX);
        let room = script
            .context_length
            .checked_sub(prompt_tokens)
            .filter(|room| *room > 0)
            .ok_or_else(|| {
                Fault::new(
                    ErrorKind::ContextLengthExceeded,
                    format!(
                        "the prompt has {prompt_tokens} tokens and the context {}: shorten the prompt",
                        script.context_length
                    ),
                )
            })?;
        let limit = request.max_tokens.map_or(room, |max| max.min(room)) as usize;
        let calls = calls(request, script);
        let is_forced = matches!(
            request.tool_choice,
            ToolChoice::Required | ToolChoice::Function(_)
        );
        let written = if is_forced {
            Vec::new()
        } else {
            formatted(&request.format, script)
                .or_else(|| script.tokens.clone())
                .unwrap_or_else(|| words(&prompt))
        };
        let endless = script.repeat && !written.is_empty();
        let all = if endless {
            written.iter().cloned().cycle().take(limit + 1).collect()
        } else {
            written
        };
        let (mut pieces, found) = cut_at_stop(all, &request.stop);
        let too_long = pieces.len() > limit;
        pieces.truncate(limit);
        let stop_sequence = found.filter(|_| !too_long);
        let finish_reason = match (too_long, stop_sequence.is_some(), calls.is_empty()) {
            (true, ..) => FinishReason::Length,
            (false, false, false) => FinishReason::ToolCalls,
            (false, ..) => FinishReason::Stop,
        };
        Ok(Self {
            prompt_tokens,
            reasoning: reasoning(request, script),
            pieces,
            calls,
            finish_reason,
            stop_sequence,
            top_logprobs: request.top_logprobs,
        })
    }

    /// A piece of the answer with made up log-probabilities, where they were asked for.
    pub(super) fn delta(&self, text: &str) -> TextDelta {
        let entry = |rank: u32, top| TokenLogprob {
            token_id: text.bytes().map(u32::from).sum::<u32>() + rank,
            token: format!("{text}{}", "~".repeat(rank as usize)).into_bytes(),
            #[expect(clippy::cast_precision_loss, reason = "at most twenty")]
            logprob: -0.25 * (rank + 1) as f32,
            top,
        };
        let logprobs = self.top_logprobs.map(|count| {
            let top = (0..count).map(|rank| entry(rank, Vec::new())).collect();
            entry(0, top)
        });
        TextDelta {
            text: text.to_owned(),
            logprobs: logprobs.into_iter().collect(),
        }
    }
}

fn conversation_tools(request: &GenerateRequest) -> &[Tool] {
    match &request.input {
        Input::Conversation(conversation) => &conversation.tools,
        Input::Raw(_) | Input::Tokens(_) => &[],
    }
}

fn reasoning(request: &GenerateRequest, script: &Script) -> Vec<String> {
    let is_off = match &request.input {
        Input::Conversation(conversation) => {
            conversation.template_variables.get("enable_thinking") == Some(&Value::Bool(false))
        }
        Input::Raw(_) | Input::Tokens(_) => false,
    };
    if is_off {
        Vec::new()
    } else {
        script.reasoning.clone()
    }
}

/// The scripted calls that the request allows; one made up where it wants one and there is none.
fn calls(request: &GenerateRequest, script: &Script) -> Vec<ScriptedCall> {
    let scripted = script.tool_calls.iter();
    let mut calls: Vec<ScriptedCall> = match &request.tool_choice {
        ToolChoice::None => Vec::new(),
        ToolChoice::Auto | ToolChoice::Required => scripted.cloned().collect(),
        ToolChoice::Function(name) => scripted.filter(|call| &call.name == name).cloned().collect(),
    };
    let mut tools = conversation_tools(request).iter();
    let wanted = match &request.tool_choice {
        ToolChoice::Auto | ToolChoice::None => None,
        ToolChoice::Required => tools.next(),
        ToolChoice::Function(name) => tools.find(|tool| &tool.name == name),
    };
    if let Some(tool) = wanted.filter(|_| calls.is_empty()) {
        calls.push(ScriptedCall {
            name: tool.name.clone(),
            arguments: smallest(&tool.parameters),
        });
    }
    if !request.parallel_tool_calls {
        calls.truncate(1);
    }
    calls
}

/// What is written where JSON is asked for; `None` leaves it to the script's tokens.
fn formatted(format: &OutputFormat, script: &Script) -> Option<Vec<String>> {
    let schema = match format {
        OutputFormat::Text | OutputFormat::Regex(_) => return None,
        OutputFormat::JsonObject => &json!({}),
        OutputFormat::JsonSchema(schema) => schema,
    };
    let text = match (&script.json_text, &script.tokens) {
        (Some(text), _) => text.clone(),
        (None, Some(_)) => return None,
        (None, None) => smallest(schema).to_string(),
    };
    Some(text.split_inclusive(',').map(str::to_owned).collect())
}

pub(super) fn prompt_text(input: &Input) -> String {
    match input {
        Input::Raw(text) => text.clone(),
        Input::Tokens(tokens) => {
            let bytes: Vec<u8> = tokens
                .iter()
                .map(|&token| u8::try_from(token).unwrap_or(b'?'))
                .collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Input::Conversation(conversation) => conversation
            .messages
            .iter()
            .map(|message| message.content.as_str())
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Words with the space behind them.
fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

fn cut_at_stop(pieces: Vec<String>, stops: &[String]) -> (Vec<String>, Option<String>) {
    let whole = pieces.concat();
    let found = stops
        .iter()
        .filter_map(|stop| Some((whole.find(stop.as_str())?, stop)));
    let Some((end, stop)) = found.min() else {
        return (pieces, None);
    };
    let mut left = end;
    let mut kept = Vec::new();
    for mut piece in pieces {
        piece.truncate(left);
        left -= piece.len();
        if !piece.is_empty() {
            kept.push(piece);
        }
    }
    (kept, Some(stop.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use airunner_core::ModelName;

    fn answer(script: &str, change: impl FnOnce(&mut GenerateRequest)) -> (String, FinishReason) {
        let script: Script = serde_json::from_str(script).unwrap();
        let mut request = GenerateRequest::new(
            ModelName::new("fake").unwrap(),
            Input::Raw("one two three".to_owned()),
        );
        change(&mut request);
        let answer = Answer::to(&request, &script).unwrap();
        (answer.pieces.join("|"), answer.finish_reason)
    }

    #[test]
    fn streams_what_the_script_says() {
        let hello = r#"{"tokens": ["Hel", "lo ", "you"]}"#;
        assert_eq!(
            answer("{}", |_| {}),
            ("one |two |three".to_owned(), FinishReason::Stop)
        );
        assert_eq!(
            answer(hello, |r| r.max_tokens = Some(2)),
            ("Hel|lo ".to_owned(), FinishReason::Length)
        );
        assert_eq!(
            answer(hello, |r| r.max_tokens = Some(3)),
            ("Hel|lo |you".to_owned(), FinishReason::Stop)
        );
        assert_eq!(
            answer(hello, |r| r.stop = vec!["o y".to_owned()]),
            ("Hel|l".to_owned(), FinishReason::Stop)
        );
        let endless = r#"{"tokens": ["a"], "repeat": true, "context_length": 6}"#;
        assert_eq!(
            answer(endless, |_| {}),
            ("a|a|a".to_owned(), FinishReason::Length)
        );
    }

    fn decided(script: &str, change: impl FnOnce(&mut GenerateRequest)) -> Answer {
        let script: Script = serde_json::from_str(script).unwrap();
        let conversation = airunner_core::chat::Conversation {
            messages: vec![airunner_core::chat::Message::new("user", "one two")],
            tools: ["f", "g"].map(tool).to_vec(),
            ..Default::default()
        };
        let mut request =
            GenerateRequest::new(ModelName::new("fake").unwrap(), Input::Conversation(conversation));
        change(&mut request);
        Answer::to(&request, &script).unwrap()
    }

    fn tool(name: &str) -> Tool {
        Tool {
            name: name.to_owned(),
            description: String::new(),
            parameters: json!({"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}),
        }
    }

    fn called(answer: &Answer) -> Vec<(&str, String)> {
        let calls = answer.calls.iter();
        calls
            .map(|call| (call.name.as_str(), call.arguments.to_string()))
            .collect()
    }

    #[test]
    fn calls_follow_the_choice() {
        let script = r#"{"tokens": ["a"], "tool_calls": [{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {}}]}"#;
        let auto = decided(script, |r| r.parallel_tool_calls = false);
        assert_eq!(called(&auto), [("f", r#"{"x":1}"#.to_owned())]);
        let none = decided(script, |r| r.tool_choice = ToolChoice::None);
        assert_eq!((none.calls.len(), none.finish_reason), (0, FinishReason::Stop));
        let named = decided(script, |r| r.tool_choice = ToolChoice::Function("g".into()));
        assert_eq!(called(&named), [("g", "{}".to_owned())]);
        let made_up = decided("{}", |r| r.tool_choice = ToolChoice::Required);
        assert_eq!(called(&made_up), [("f", r#"{"x":0}"#.to_owned())]);
        assert_eq!(
            (made_up.pieces.len(), made_up.finish_reason),
            (0, FinishReason::ToolCalls)
        );
    }

    #[test]
    fn formats_stops_and_thinking_are_honoured() {
        let json = |script: &str| {
            decided(script, |r| {
                r.format = OutputFormat::JsonSchema(tool("f").parameters);
            })
            .pieces
            .concat()
        };
        assert_eq!(json("{}"), r#"{"x":0}"#);
        assert_eq!(
            json(r#"{"json_text": "{\"x\": 7}", "tokens": ["a"]}"#),
            r#"{"x": 7}"#
        );
        assert_eq!(json(r#"{"tokens": ["{}"]}"#), "{}");
        let stopped = decided("{}", |r| r.stop = vec!["two".into(), "e t".into()]);
        assert_eq!(stopped.stop_sequence.as_deref(), Some("e t"));
        let thinking = r#"{"reasoning": ["hm"]}"#;
        assert_eq!(decided(thinking, |_| {}).reasoning, ["hm"]);
        let quiet = decided(thinking, |r| {
            if let Input::Conversation(conversation) = &mut r.input {
                let off = ("enable_thinking".to_owned(), false.into());
                conversation.template_variables.extend([off]);
            }
        });
        assert!(quiet.reasoning.is_empty());
        let likely = decided("{}", |r| r.top_logprobs = Some(2)).delta("ab");
        assert_eq!(
            (likely.logprobs[0].token.as_slice(), likely.logprobs[0].top.len()),
            (&b"ab"[..], 2)
        );
        let tokens = decided("{}", |r| r.input = Input::Tokens(vec![72, 105, 32]));
        assert_eq!(
            (tokens.prompt_tokens, tokens.pieces.concat().as_str()),
            (3, "Hi ")
        );
    }
}
