use airunner_core::chat::Message;
use airunner_core::generate::{FinishReason, GenerateEvent, OutputFormat, ToolChoice};
use airunner_core::{ErrorKind, Fault};
use serde_json::{Value, json};

use super::items::{InputField, Turns, kept};
use super::not_gone_on;
use super::output::ResponseObject;
use super::request::ResponseRequest;
use super::scribe::Scribe;
use super::stored::Page;
use crate::http::openai::writing::tests::{call, done, text, thought};
use crate::http::payload::decode;

fn request(mut fields: Value) -> Result<ResponseRequest, Fault> {
    let object = fields.as_object_mut().unwrap();
    object.entry("model").or_insert("tiny".into());
    object.entry("input").or_insert("Hi".into());
    decode(fields.to_string().as_bytes())
}

fn generate(fields: Value) -> Result<airunner_core::generate::GenerateRequest, Fault> {
    let request = request(fields)?;
    request.check()?;
    let mut turns = Turns::of(request.instructions.as_deref());
    turns.add(&kept(request.input.clone())?)?;
    request.generate(turns.messages())
}

fn turns(items: Value) -> Vec<Message> {
    let InputField::Items(items) = serde_json::from_value(items).unwrap() else {
        panic!("no items")
    };
    let mut turns = Turns::of(Some("Be brief."));
    turns.add(&kept(InputField::Items(items)).unwrap()).unwrap();
    turns.messages()
}

#[test]
fn items_become_turns() {
    let turns = turns(json!([
        {"role": "developer", "content": "In English."},
        {"role": "user", "content": [{"type": "input_text", "text": "1+1?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{\"a\": 1}"},
        {"type": "function_call", "call_id": "c2", "name": "add", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "2"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "2"}]},
    ]));
    let seen: Vec<_> = turns
        .iter()
        .map(|m| (m.role.as_str(), m.content.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("system", "Be brief.\n\nIn English."),
            ("user", "1+1?"),
            ("assistant", ""),
            ("tool", "2"),
            ("assistant", "2")
        ]
    );
    assert_eq!(turns[2].tool_calls.len(), 2);
    assert_eq!(turns[2].reasoning.as_deref(), Some("hm"));
    assert_eq!(turns[3].name.as_deref(), Some("add"));
}

#[test]
fn a_thought_that_was_cut_goes_to_no_later_turn() {
    let thought = json!({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]});
    let turns = turns(json!([
        {"role": "user", "content": "1+1?"},
        thought,
        {"role": "user", "content": "Well?"},
        {"role": "assistant", "content": "2"},
    ]));
    assert!(turns.iter().all(|turn| turn.reasoning.is_none()));
}

#[test]
fn kept_items_have_a_type_a_name_and_parts() {
    let items = kept(InputField::Text("Hi".to_owned())).unwrap();
    assert_eq!(items[0]["content"], json!([{"type": "input_text", "text": "Hi"}]));
    assert!(items[0]["id"].as_str().unwrap().starts_with("msg_"));
}

#[test]
fn settings_reach_the_model() {
    let generate = generate(json!({
        "max_output_tokens": 9, "seed": 3, "include": ["message.output_text.logprobs"],
        "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "reasoning": {"effort": "low"}, "truncation": "auto", "metadata": {"a": "b"},
    }))
    .unwrap();
    assert_eq!((generate.max_tokens, generate.top_logprobs), (Some(9), Some(0)));
    assert_eq!(generate.tool_choice, ToolChoice::Function("f".into()));
    assert_eq!(
        generate.format,
        OutputFormat::JsonSchema(json!({"type": "object"}))
    );
}

#[test]
fn refusals_name_the_field() {
    let item = |item: Value| json!({"input": [item]});
    for (fields, param) in [
        (json!({"input": 7}), "input"),
        (json!({"input": [7]}), "input[0]"),
        (item(json!({"content": "Hi"})), "input[0].role"),
        (item(json!({"role": "user"})), "input[0].content"),
        (item(json!({"role": "user", "content": 7})), "input[0].content"),
        (
            item(json!({"type": "item_reference", "id": "x"})),
            "input[0].type",
        ),
        (
            item(json!({"role": "user", "content": [{"type": "input_image"}]})),
            "input[0].content[0].type",
        ),
        (
            item(json!({"type": "function_call", "name": "f", "arguments": "{}"})),
            "input[0].call_id",
        ),
        (
            item(json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "x"})),
            "input[0].arguments",
        ),
        (
            item(json!({"type": "function_call_output", "call_id": "c"})),
            "input[0].output",
        ),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"tool_choice": {"type": "mcp"}}), "tool_choice"),
        (json!({"tool_choice": 7}), "tool_choice"),
        (json!({"text": {"format": {"type": "yaml"}}}), "text.format.type"),
        (
            json!({"text": {"format": {"type": "json_schema"}}}),
            "text.format.name",
        ),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"reasoning": {"effort": "much"}}), "reasoning.effort"),
        (json!({"conversation": "c"}), "conversation"),
        (json!({"prompt": {"id": "p"}}), "prompt"),
        (json!({"background": true, "stream": true}), "background"),
        (json!({"background": true, "store": false}), "store"),
    ] {
        let fault = generate(fields.clone()).unwrap_err();
        assert_eq!(
            fault.figures.get("param").map(String::as_str),
            Some(param),
            "{fields}: {fault}"
        );
        assert!(matches!(
            fault.kind,
            ErrorKind::InvalidArgument | ErrorKind::ModelIncompatible
        ));
    }
}

fn story(events: Vec<GenerateEvent>) -> (Vec<String>, ResponseObject) {
    let object = request(json!({})).unwrap().object("resp_1".to_owned(), 1);
    let mut scribe = Scribe::new(object);
    let mut steps = scribe.begin();
    for event in events {
        steps.extend(scribe.write(event).unwrap());
    }
    steps.push(scribe.end());
    for (index, step) in steps.iter().enumerate() {
        assert_eq!(step["sequence_number"], index);
    }
    let told = steps.iter().map(|step| {
        let kind = step["type"].as_str().unwrap();
        let what = match kind {
            "response.output_item.added" | "response.output_item.done" => &step["item"]["type"],
            _ if kind.ends_with(".delta") => &step["delta"],
            _ if kind.ends_with("text.done") => &step["text"],
            "response.function_call_arguments.done" => &step["arguments"],
            _ => &Value::Null,
        };
        match (what.as_str(), &step["output_index"]) {
            (Some(what), index) => format!("{index} {kind} {what}"),
            (None, Value::Null) => kind.to_owned(),
            (None, index) => format!("{index} {kind}"),
        }
    });
    (told.collect(), scribe.response)
}

#[test]
fn every_step_is_told_in_order() {
    let (told, response) = story(vec![
        thought("hm"),
        text("Hel"),
        text("lo"),
        call(0, Some(("c1", "f")), ""),
        call(0, None, "{}"),
        call(1, Some(("c2", "g")), "{}"),
        done(FinishReason::ToolCalls),
    ]);
    assert_eq!(
        told,
        [
            "response.created",
            "response.in_progress",
            "0 response.output_item.added reasoning",
            "0 response.content_part.added",
            "0 response.reasoning_text.delta hm",
            "0 response.reasoning_text.done hm",
            "0 response.content_part.done",
            "0 response.output_item.done reasoning",
            "1 response.output_item.added message",
            "1 response.content_part.added",
            "1 response.output_text.delta Hel",
            "1 response.output_text.delta lo",
            "1 response.output_text.done Hello",
            "1 response.content_part.done",
            "1 response.output_item.done message",
            "2 response.output_item.added function_call",
            "2 response.function_call_arguments.delta {}",
            "2 response.function_call_arguments.done {}",
            "2 response.output_item.done function_call",
            "3 response.output_item.added function_call",
            "3 response.function_call_arguments.delta {}",
            "3 response.function_call_arguments.done {}",
            "3 response.output_item.done function_call",
            "response.completed",
        ]
    );
    let told = response.json();
    assert_eq!(told["output"][1]["content"][0]["text"], "Hello");
    assert_eq!(told["output"][3]["call_id"], "c2");
    assert_eq!(told["usage"]["output_tokens_details"]["reasoning_tokens"], 1);
    assert_eq!(told["usage"]["total_tokens"], 8);
}

#[test]
fn an_answer_that_was_cut_is_incomplete_and_one_that_says_nothing_has_a_message() {
    let (told, response) = story(vec![text("a"), done(FinishReason::Length)]);
    assert_eq!(told.last().unwrap(), "response.incomplete");
    let response = response.json();
    assert_eq!(response["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(response["output"][0]["status"], "incomplete");
    let (_, empty) = story(vec![done(FinishReason::Stop)]);
    assert_eq!(empty.json()["output"][0]["content"][0]["text"], "");
}

#[test]
fn a_failure_is_the_last_step() {
    let object = request(json!({})).unwrap().object("resp_1".to_owned(), 1);
    let mut scribe = Scribe::new(object);
    let step = scribe.fail(&Fault::internal("/home/somebody"));
    assert_eq!(step["type"], "response.failed");
    assert_eq!(step["response"]["error"]["code"], "server_error");
    assert!(!step.to_string().contains("somebody"));
}

#[test]
fn pages_follow_each_other() {
    let items: Vec<Value> = (0..5).map(|n| json!({"id": n.to_string()})).collect();
    let page = |limit, order: &str, after: Option<&str>| {
        Page {
            limit: Some(limit),
            order: Some(order.to_owned()),
            after: after.map(str::to_owned),
        }
        .of(items.clone())
    };
    let first = page(2, "asc", None).unwrap();
    assert_eq!((first.last_id.as_deref(), first.has_more), (Some("1"), true));
    let rest = page(9, "asc", Some("1")).unwrap();
    assert_eq!((rest.data.len(), rest.has_more), (3, false));
    assert_eq!(page(1, "desc", None).unwrap().first_id.as_deref(), Some("4"));
    for (limit, order, after) in [(0, "asc", None), (1, "up", None), (1, "asc", Some("9"))] {
        assert!(page(limit, order, after).is_err());
    }
}

#[test]
fn an_unknown_answer_to_go_on_from_is_a_wrong_value() {
    let missing = not_gone_on(Fault::new(ErrorKind::NotFound, "no answer is called so"));
    assert_eq!(missing.kind, ErrorKind::InvalidArgument);
    let figures = (&*missing.figures["code"], &*missing.figures["param"]);
    assert_eq!(figures, ("previous_response_not_found", "previous_response_id"));
    assert_eq!(
        not_gone_on(Fault::new(ErrorKind::Busy, "wait")).kind,
        ErrorKind::Busy
    );
}
