use airunner_core::generate::{FinishReason, Input, OutputFormat, ToolChoice};
use airunner_core::{ErrorKind, Fault};
use serde_json::{Value, json};

use super::chunks::Chunks;
use super::request::{ChatCompletionRequest, Plan};
use super::response::{ChatCompletion, ChatHead, Shape};
use crate::http::answer::{Call, Whole};
use crate::http::openai::writing::Line;
use crate::http::openai::writing::tests::{call, done, text, thought, written};
use crate::http::payload::decode;

fn plan(mut fields: Value) -> Result<Plan, Fault> {
    let object = fields.as_object_mut().unwrap();
    object.entry("model").or_insert("tiny".into());
    object
        .entry("messages")
        .or_insert(json!([{"role": "user", "content": "Hi"}]));
    decode::<ChatCompletionRequest>(fields.to_string().as_bytes())?.plan()
}

fn conversation(plan: &Plan) -> &airunner_core::chat::Conversation {
    match &plan.generate.input {
        Input::Conversation(conversation) => conversation,
        Input::Raw(_) | Input::Tokens(_) => panic!("it is no conversation"),
    }
}

#[test]
fn every_form_of_a_message_is_read() {
    let plan = plan(json!({"messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": null, "reasoning": "hm", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "assistant", "refusal": "No.", "unknown": [1]},
    ]}))
    .unwrap();
    let messages = &conversation(&plan).messages;
    let seen: Vec<_> = messages
        .iter()
        .map(|m| (m.role.as_str(), m.content.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("system", "Be kind.\n\nBe brief."),
            ("user", "a\nb"),
            ("assistant", ""),
            ("tool", "2"),
            ("assistant", "No.")
        ]
    );
    assert_eq!(messages[2].tool_calls[0].arguments["x"], 1);
    assert_eq!(messages[2].reasoning.as_deref(), Some("hm"));
    assert_eq!(messages[3].name.as_deref(), Some("f"));
    assert!(!conversation(&plan).continues);
}

#[test]
fn settings_reach_the_model() {
    let plan = plan(json!({
        "temperature": 0, "top_k": -1, "seed": -1, "max_tokens": 5, "max_completion_tokens": 7, "stop": "x",
        "logit_bias": {"42": -100}, "logprobs": true, "top_logprobs": 3, "n": 2, "stream": true,
        "stream_options": {"include_usage": true}, "keep_alive": -1, "reasoning_effort": "none",
        "chat_template_kwargs": {"custom": 1}, "user": "u", "metadata": {"a": "b"}, "store": false,
        "service_tier": "auto",
    }))
    .unwrap();
    let generate = &plan.generate;
    assert_eq!((generate.max_tokens, generate.top_logprobs), (Some(7), Some(3)));
    assert_eq!(generate.sampling.top_k, Some(0));
    assert!(generate.is_private, "store is false");
    assert_eq!(generate.sampling.seed, Some(u64::MAX));
    assert_eq!(generate.sampling.logit_bias[&42], -100.0);
    assert_eq!(generate.stop, ["x"]);
    assert_eq!((plan.choices, plan.stream, plan.include_usage), (2, true, true));
    let variables = &conversation(&plan).template_variables;
    assert_eq!(variables["enable_thinking"], false);
    assert_eq!(variables["custom"], 1);
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name}})
}

#[test]
fn tools_are_chosen_as_asked() {
    let tools = json!([tool("f"), tool("g")]);
    let chosen = |choice: Value| plan(json!({"tools": tools, "tool_choice": choice})).unwrap();
    for (choice, expected) in [
        (json!(null), ToolChoice::Auto),
        (json!("auto"), ToolChoice::Auto),
        (json!("none"), ToolChoice::None),
        (json!("required"), ToolChoice::Required),
        (tool("g"), ToolChoice::Function("g".into())),
    ] {
        assert_eq!(chosen(choice).generate.tool_choice, expected);
    }
    let allowed = chosen(json!({"type": "allowed_tools", "allowed_tools": {
        "mode": "required", "tools": [tool("g")]}}));
    assert_eq!(allowed.generate.tool_choice, ToolChoice::Required);
    assert_eq!(conversation(&allowed).tools.len(), 1);
    assert_eq!(conversation(&allowed).tools[0].name, "g");
    let legacy = plan(json!({"functions": [{"name": "f"}], "function_call": {"name": "f"}})).unwrap();
    assert!(legacy.legacy && !legacy.generate.parallel_tool_calls);
    assert_eq!(legacy.generate.tool_choice, ToolChoice::Function("f".into()));
}

#[test]
fn formats_are_read() {
    let format = |format: Value| plan(json!({"response_format": format})).unwrap().generate.format;
    assert_eq!(format(json!({"type": "text"})), OutputFormat::Text);
    assert_eq!(format(json!({"type": "json_object"})), OutputFormat::JsonObject);
    let schema = json!({"type": "object"});
    let named = json!({"name": "answer", "strict": true, "schema": schema});
    for value in [
        json!({"type": "json_schema", "json_schema": named}),
        json!({"type": "json_object", "schema": schema}),
    ] {
        assert_eq!(format(value), OutputFormat::JsonSchema(schema.clone()));
    }
    assert_eq!(
        format(json!({"type": "regex", "value": "a+"})),
        OutputFormat::Regex("a+".into())
    );
}

#[test]
fn refusals_name_the_field() {
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]);
    let turn = |turn: Value| json!({"messages": [turn]});
    let bad_call =
        json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]});
    for (fields, param) in [
        (json!({"model": 7}), "model"),
        (json!({"model": ""}), "model"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": "Hi"}), "messages"),
        (turn(json!({"role": "user"})), "messages[0].content"),
        (turn(json!({"role": "user", "content": 7})), "messages[0].content"),
        (turn(json!({"role": "alien", "content": ""})), "messages[0].role"),
        (turn(bad_call), "messages[0].tool_calls[0].function.arguments"),
        (json!({"messages": image}), "messages[0].content[0].type"),
        (json!({"n": 0}), "n"),
        (json!({"n": 17}), "n"),
        (json!({"n": "two"}), "n"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": -7}), "max_tokens"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"stop": [1]}), "stop"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
        (json!({"logit_bias": {"word": 1}}), "logit_bias"),
        (json!({"keep_alive": "soon"}), "keep_alive"),
        (json!({"reasoning_effort": "much"}), "reasoning_effort"),
        (json!({"continue_final_message": true}), "messages"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"tools": [{"type": "custom"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
        (json!({"tools": [tool("a b")]}), "tools[0].function.name"),
        (
            json!({"tools": [tool("f")], "tool_choice": "sometimes"}),
            "tool_choice",
        ),
        (json!({"tools": [tool("f")], "tool_choice": 7}), "tool_choice"),
        (json!({"tools": [], "functions": []}), "functions"),
        (
            json!({"response_format": {"type": "yaml"}}),
            "response_format.type",
        ),
        (
            json!({"response_format": {"type": "json_schema"}}),
            "response_format.json_schema",
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a b"}}}),
            "response_format.json_schema.name",
        ),
    ] {
        let fault = plan(fields.clone()).unwrap_err();
        assert_eq!(
            fault.figures.get("param").map(String::as_str),
            Some(param),
            "{fields}: {fault}"
        );
        assert!(
            matches!(
                fault.kind,
                ErrorKind::InvalidArgument | ErrorKind::ModelIncompatible
            ),
            "{fault}"
        );
    }
}

const PLAIN: Shape = Shape {
    legacy: false,
    logprobs: false,
};

fn head(streams: bool) -> ChatHead {
    ChatHead {
        id: "chatcmpl-1".to_owned(),
        created: 1,
        ..ChatHead::new("tiny", streams).unwrap()
    }
}

/// Deltas and reasons, as `index delta reason`.
fn story(lines: &[Line]) -> Vec<String> {
    lines
        .iter()
        .map(|line| match line {
            Line::Done => "[DONE]".to_owned(),
            Line::Json(value) => match value["choices"].get(0) {
                Some(choice) => format!(
                    "{} {} {}",
                    choice["index"], choice["delta"], choice["finish_reason"]
                ),
                None => format!("usage {}", value["usage"]["total_tokens"]),
            },
        })
        .collect()
}

#[tokio::test]
async fn pieces_come_in_order() {
    let pieces = vec![
        (0, Ok(thought("hm"))),
        (0, Ok(text("Hel"))),
        (1, Ok(text("Hi"))),
        (0, Ok(call(0, Some(("c1", "f")), ""))),
        (0, Ok(call(0, None, "{}"))),
        (1, Ok(done(FinishReason::Length))),
        (0, Ok(done(FinishReason::ToolCalls))),
    ];
    let lines = written(Chunks::new(head(true), 2, PLAIN, true), 2, pieces).await;
    assert_eq!(
        story(&lines),
        [
            r#"0 {"role":"assistant","content":""} null"#,
            r#"1 {"role":"assistant","content":""} null"#,
            r#"0 {"reasoning_content":"hm"} null"#,
            r#"0 {"content":"Hel"} null"#,
            r#"1 {"content":"Hi"} null"#,
            r#"0 {"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]} null"#,
            r#"0 {"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]} null"#,
            r#"1 {} "length""#,
            r#"0 {} "tool_calls""#,
            "usage 11",
            "[DONE]",
        ]
    );
    let Line::Json(first) = &lines[0] else {
        panic!("{lines:?}")
    };
    assert_eq!(first["object"], "chat.completion.chunk");
    assert_eq!(first.get("usage"), Some(&Value::Null));
}

#[tokio::test]
async fn usage_is_told_only_to_who_asks_and_the_older_form_knows_one_call() {
    let pieces = vec![
        (0, Ok(call(0, Some(("c1", "f")), "{}"))),
        (0, Ok(call(1, Some(("c2", "g")), "{}"))),
        (0, Ok(done(FinishReason::ToolCalls))),
    ];
    let legacy = Shape {
        legacy: true,
        ..PLAIN
    };
    let lines = written(Chunks::new(head(true), 1, legacy, false), 1, pieces).await;
    assert_eq!(
        story(&lines)[1..],
        [
            r#"0 {"function_call":{"name":"f","arguments":"{}"}} null"#,
            r#"0 {} "function_call""#,
            "[DONE]",
        ]
    );
    assert!(matches!(&lines[0], Line::Json(value) if value.get("usage").is_none()));
}

#[test]
fn a_whole_answer_has_all_its_parts() {
    let airunner_core::generate::GenerateEvent::Done(end) = done(FinishReason::ToolCalls) else {
        unreachable!()
    };
    let answer = Whole {
        text: String::new(),
        reasoning: "hm".to_owned(),
        reasoning_tokens: 1,
        calls: vec![Call {
            id: "c1".to_owned(),
            name: "f".to_owned(),
            arguments: "{}".to_owned(),
        }],
        logprobs: Vec::new(),
        done: end,
    };
    let told = ChatCompletion::of(head(false), vec![answer.clone()], PLAIN);
    let told = serde_json::to_value(told).unwrap();
    assert_eq!(told["object"], "chat.completion");
    assert_eq!(
        told["choices"],
        json!([{
            "index": 0,
            "message": {
                "role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            "logprobs": null,
            "finish_reason": "tool_calls",
        }])
    );
    assert_eq!(
        told["usage"],
        json!({
            "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8,
            "prompt_tokens_details": {"cached_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 1},
        })
    );
    let legacy = Shape {
        legacy: true,
        ..PLAIN
    };
    let told = serde_json::to_value(ChatCompletion::of(head(false), vec![answer], legacy)).unwrap();
    let choice = &told["choices"][0];
    assert_eq!(choice["message"]["function_call"]["name"], "f");
    assert_eq!(choice["finish_reason"], "function_call");
    assert_eq!(choice["message"].get("tool_calls"), None);
}
