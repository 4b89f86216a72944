//! Calls of tools with schemas as strangers and as frameworks write them.

use airunner_core::ErrorKind;
use airunner_core::chat::Tool;
use airunner_core::generate::{GenerateRequest, Input, ToolChoice};
use serde_json::{Value, json};

use super::{are_valid, asking, templated_bench};

/// A request whose only tool has these parameters.
fn asking_with(parameters: Value) -> GenerateRequest {
    let mut request = asking(ToolChoice::Required, false);
    if let Input::Conversation(conversation) = &mut request.input {
        conversation.tools = vec![Tool {
            name: "f".to_owned(),
            description: String::new(),
            parameters,
        }];
    }
    request
}

/// Each is either refused or followed, and its rules grow no faster than it.
#[test]
fn hostile_tools_end() {
    let properties = |count: usize, schema: Value| -> Value {
        (0..count)
            .map(|number| (format!("p{number}"), schema.clone()))
            .collect::<serde_json::Map<String, Value>>()
            .into()
    };
    let large: Vec<String> = (0..2000).map(|number| format!("value {number}")).collect();
    let shared = json!({"$ref": "#/$defs/A"});
    let tools = [
        json!({"properties": properties(512, json!({"type": "integer"}))}),
        json!({"properties": properties(20_000, json!({}))}),
        json!({"properties": properties(500, shared), "$defs": {"A": {"enum": large}}}),
        json!({"properties": properties(9, json!({"$ref": "#"}))}),
    ];
    for signs in ["<|tool_call_start|>", "<tool_call><function="] {
        let (_home, bench) = templated_bench(&format!("{{{{ messages }}}}{{# {signs} #}}"), &[], false);
        for parameters in &tools {
            if let Err(fault) = bench.answer(&asking_with(parameters.clone()), 5, 40, "") {
                assert_eq!(fault.kind, ErrorKind::InvalidArgument, "{signs}: {fault}");
            }
        }
    }
}

#[test]
fn any_of_several_optional_arguments_may_be_left_out() {
    let (_home, bench) = templated_bench("{{ messages }}{# <|tool_call_start|> #}", &[], false);
    let one = json!({"enum": [1]});
    let request = asking_with(json!({"properties": {"a": one, "b": one, "c": one}}));
    for (arguments, expected) in [
        ("", json!({})),
        ("a=1", json!({"a": 1})),
        ("b=1", json!({"b": 1})),
        ("a=1, c=1", json!({"a": 1, "c": 1})),
        ("a=1, b=1, c=1", json!({"a": 1, "b": 1, "c": 1})),
    ] {
        let wish = format!("<|tool_call_start|>[f({arguments})]");
        let answer = bench.answer(&request, 1, 400, &wish).unwrap();
        let found: Value = serde_json::from_str(&answer.calls[0].1).unwrap();
        assert_eq!(found, expected, "{answer:?}");
    }
}

/// What pydantic writes for `Optional[str]`, `Literal` and an enumeration.
#[test]
fn text_that_may_be_missing_stands_without_quotes() {
    let (_home, bench) = templated_bench("{{ messages }}{# <tool_call><function= #}", &[], false);
    let request = asking_with(json!({
        "required": ["a", "b", "c", "d"],
        "properties": {
            "a": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null},
            "b": {"$ref": "#/$defs/Colour"},
            "c": {"anyOf": [{"enum": ["x", "yz"]}, {"type": "null"}]},
            "d": {"type": ["integer", "null"]},
        },
        "$defs": {"Colour": {"enum": ["red", "green"]}},
    }));
    let part = |name: &str, value: &str| format!("<parameter={name}>\n{value}\n</parameter>\n");
    for (a, expected) in [("123", json!("123")), ("null", Value::Null), ("hi", json!("hi"))] {
        let wish = format!(
            "<tool_call>\n<function=f>\n{}{}{}{}</function>\n</tool_call>",
            part("a", a),
            part("b", "red"),
            part("c", "yz"),
            part("d", "7")
        );
        let answer = bench.answer(&request, 1, 600, &wish).unwrap();
        let found: Value = serde_json::from_str(&answer.calls[0].1).unwrap();
        assert_eq!(
            found,
            json!({"a": expected, "b": "red", "c": "yz", "d": 7}),
            "{answer:?}"
        );
    }
    // What is not among the choices cannot be written.
    let begun = format!("<tool_call>\n<function=f>\n{}<parameter=b>\nblue", part("a", "1"));
    let answer = bench.answer(&request, 1, 120, &begun).unwrap();
    assert!(!format!("{answer:?}").contains("blue"), "{answer:?}");
}

#[test]
fn the_same_tools_are_compiled_once_and_answers_share_nothing() {
    let (_home, bench) = templated_bench("{{ messages }}{# <|tool_call_start|> #}", &[], false);
    let request = asking(ToolChoice::Required, true);
    let first = bench.answer(&request, 7, 400, "").unwrap();
    let _ = bench.answer(&request, 8, 30, "").unwrap();
    let again = bench.answer(&request, 7, 400, "").unwrap();
    assert_eq!(bench.constraints.compiled.len(), 1);
    assert_eq!((first.calls, first.ended), (again.calls, again.ended));
    let _ = bench
        .answer(&asking(ToolChoice::Required, false), 7, 5, "")
        .unwrap();
    assert_eq!(bench.constraints.compiled.len(), 2);
}

/// Templates whose calls need no mark, and how calls begin there.
const UNMARKED: [(&str, &[&str]); 2] = [
    (
        "<|python_tag|>",
        &[
            "{\"name\": \"add\"",
            "{\"name\":\"add\",",
            "\n{ \"name\": \"now\"",
            "<|python_tag|>{\"name\": \"add\"",
        ],
    ),
    ("[func_name1(", &["[add(", "[ add(", "[now("]),
];

fn unmarked(signs: &str, extra: &str) -> (tempfile::TempDir, super::Bench) {
    let template =
        format!("{{% for m in messages %}}{{{{ m.content }}}}{{% endfor %}}{{# {signs} {extra} #}}");
    templated_bench(&template, &["<think>", "</think>"], false)
}

#[test]
fn an_answer_that_begins_as_a_call_without_a_mark_becomes_a_valid_one() {
    for (signs, beginnings) in UNMARKED {
        let (_home, bench) = unmarked(signs, "<think>");
        let mut ended = 0;
        for beginning in beginnings {
            for (seed, thought) in [(1, ""), (2, ""), (3, "<think>[add({\"name\"</think>\n"), (4, "")] {
                let wish = format!("{thought}{beginning}");
                let request = asking(ToolChoice::Auto, false);
                let answer = bench.answer(&request, seed, 400, &wish).unwrap();
                if answer.ended {
                    ended += 1;
                    assert_eq!(answer.calls.len(), 1, "{wish}: {answer:?}");
                    assert!(are_valid(&answer.calls), "{wish}: {answer:?}");
                    assert_eq!(answer.text.trim(), "", "{wish}: {answer:?}");
                }
            }
        }
        assert!(ended > beginnings.len(), "{signs}: only {ended} ended");
    }
}

#[test]
fn several_calls_without_a_mark_are_each_held_to_their_schema() {
    let (_home, bench) = unmarked("<|python_tag|>", "");
    let call = "{\"name\": \"add\", \"parameters\": {\"a\": 1}}";
    let request = asking(ToolChoice::Auto, true);
    let mut ended = 0;
    for seed in 0..6 {
        let wish = format!("{call}; {{\"name\": \"add\", \"parameters\": {{\"a\": 9");
        let answer = bench.answer(&request, seed, 300, &wish).unwrap();
        assert!(answer.calls.len() >= 2, "{answer:?}");
        assert!(!answer.calls[1].1.contains('9'), "{answer:?}");
        ended += usize::from(answer.ended);
    }
    assert!(ended > 0);
}

#[test]
fn what_is_no_call_of_a_tool_stays_free() {
    for (signs, _) in UNMARKED {
        let (_home, bench) = unmarked(signs, "");
        for text in [
            "{\"name\": \"Bob\", \"age\": 3}",
            "{\"name\": \"adder\", \"parameters\": {\"a\": 9}}",
            "{\"names\": [1]}",
            "[1, 2]",
            "[adder(a=9)]",
            "Sure: {\"name\": \"add\", \"parameters\": {\"a\": 9}} or [add(a=9)]",
            "add(a=9)",
        ] {
            let request = asking(ToolChoice::Auto, true);
            let length = bench.text.tokenize(text, false).unwrap().len();
            let answer = bench.answer(&request, 1, length, text).unwrap();
            assert_eq!(answer.text, text, "{signs}");
            assert!(answer.calls.is_empty(), "{signs} {text}: {answer:?}");
        }
    }
}
