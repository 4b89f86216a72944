use airunner_core::Fault;
use airunner_core::generate::{FinishReason, GenerateEvent, Input, TokenLogprob, UNLIMITED};
use serde_json::{Value, json};

use super::chunks::Chunks;
use super::completion;
use super::request::{CompletionRequest, Plan};
use super::response::{CompletionHead, CompletionLogprobs};
use crate::http::answer::Whole;
use crate::http::openai::writing::Line;
use crate::http::openai::writing::tests::{done, text, written};
use crate::http::payload::decode;

fn plan(mut fields: Value) -> Result<Plan, Fault> {
    let object = fields.as_object_mut().unwrap();
    object.entry("model").or_insert("tiny".into());
    object.entry("prompt").or_insert("Once".into());
    decode::<CompletionRequest>(fields.to_string().as_bytes())?.plan()
}

#[test]
fn every_form_of_a_prompt_is_read() {
    let raw = |text: &str| Input::Raw(text.to_owned());
    for (prompt, expected) in [
        (json!("a"), vec![raw("a")]),
        (json!(["a", "b"]), vec![raw("a"), raw("b")]),
        (json!([1, 2]), vec![Input::Tokens(vec![1, 2])]),
        (
            json!([[1], [2]]),
            vec![Input::Tokens(vec![1]), Input::Tokens(vec![2])],
        ),
    ] {
        let requests = plan(json!({ "prompt": prompt })).unwrap().requests;
        let inputs: Vec<Input> = requests.into_iter().map(|request| request.input).collect();
        assert_eq!(inputs, expected);
    }
}

#[test]
fn an_answer_has_sixteen_tokens_unless_told_otherwise() {
    let tokens = |fields: Value| plan(fields).unwrap().requests[0].max_tokens;
    assert_eq!(tokens(json!({})), Some(16));
    assert_eq!(tokens(json!({"max_tokens": 3})), Some(3));
    assert_eq!(tokens(json!({"max_tokens": -1})), Some(UNLIMITED));
}

#[test]
fn refusals_name_the_field() {
    for (fields, param) in [
        (json!({"prompt": []}), "prompt"),
        (json!({"prompt": ""}), "prompt"),
        (json!({"prompt": ["a", ""]}), "prompt"),
        (json!({"prompt": [-1]}), "prompt"),
        (json!({"prompt": {"a": 1}}), "prompt"),
        (json!({"prompt": null}), "prompt"),
        (json!({"prompt": vec!["a"; 65]}), "prompt"),
        (json!({"suffix": "end"}), "suffix"),
        (json!({"n": 17}), "n"),
        (json!({"n": 3, "best_of": 2}), "best_of"),
        (json!({"best_of": 2, "stream": true}), "best_of"),
        (json!({"echo": true, "logprobs": 1}), "echo"),
        (json!({"logprobs": 21}), "logprobs"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"max_tokens": 0}), "max_tokens"),
    ] {
        let fault = plan(fields.clone()).unwrap_err();
        assert_eq!(
            fault.figures.get("param").map(String::as_str),
            Some(param),
            "{fields}: {fault}"
        );
    }
}

fn whole(text: &str, logprob: f32) -> Whole {
    let GenerateEvent::Done(end) = done(FinishReason::Stop) else {
        unreachable!()
    };
    Whole {
        text: text.to_owned(),
        reasoning: String::new(),
        reasoning_tokens: 0,
        calls: Vec::new(),
        logprobs: vec![entry(text, logprob)],
        done: end,
    }
}

fn entry(text: &str, logprob: f32) -> TokenLogprob {
    TokenLogprob {
        token_id: 1,
        token: text.as_bytes().to_vec(),
        logprob,
        top: Vec::new(),
    }
}

fn head() -> CompletionHead {
    CompletionHead::new("tiny").unwrap()
}

#[test]
fn the_likeliest_answers_are_told_after_their_prompt() {
    let plan = plan(json!({"prompt": ["a", "b"], "best_of": 2, "echo": true})).unwrap();
    assert_eq!(plan.requests[0].top_logprobs, Some(0));
    let answers = vec![
        whole("1", -3.0),
        whole("2", -1.0),
        whole("3", -1.0),
        whole("4", -2.0),
    ];
    let told = completion(head(), &plan, &["a".to_owned(), "b".to_owned()], answers);
    let told = serde_json::to_value(told).unwrap();
    let choices: Vec<_> = told["choices"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&choices[0]["text"], &choices[1]["text"]),
        (&json!("a2"), &json!("b3"))
    );
    assert_eq!(
        (&choices[1]["index"], &choices[0]["logprobs"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(told["usage"]["prompt_tokens"], 10);
    assert_eq!(told["usage"]["completion_tokens"], 12);
}

#[test]
fn chances_go_side_by_side() {
    let mut second = entry("é!", -2.0);
    second.top = vec![entry("x", -1.0)];
    let told = CompletionLogprobs::of(&[entry("né", -1.0), second], 3);
    assert_eq!(
        serde_json::to_value(told).unwrap(),
        json!({"tokens": ["né", "é!"], "token_logprobs": [-1.0, -2.0],
            "top_logprobs": [{}, {"x": -1.0}], "text_offset": [3, 5]})
    );
}

#[tokio::test]
async fn pieces_come_in_order() {
    let writer = Chunks::new(head(), vec!["a".to_owned(), String::new()], 1, false, true);
    let pieces = vec![
        (1, Ok(text("y"))),
        (0, Ok(text("x"))),
        (0, Ok(done(FinishReason::Length))),
        (1, Ok(done(FinishReason::Stop))),
    ];
    let told: Vec<String> = written(writer, 2, pieces)
        .await
        .iter()
        .map(|line| match line {
            Line::Done => "[DONE]".to_owned(),
            Line::Json(value) => match value["choices"].get(0) {
                Some(choice) => format!(
                    "{} {} {}",
                    choice["index"], choice["text"], choice["finish_reason"]
                ),
                None => format!("usage {}", value["usage"]["total_tokens"]),
            },
        })
        .collect();
    assert_eq!(
        told,
        [
            "0 \"a\" null",
            "1 \"y\" null",
            "0 \"x\" null",
            "0 \"\" \"length\"",
            "1 \"\" \"stop\"",
            "usage 16",
            "[DONE]"
        ]
    );
}
