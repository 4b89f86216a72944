//! What becomes of conversations as clients of Anthropic write them.

use airunner_core::ModelName;
use serde_json::json;

use super::*;

fn read(more: Value) -> Result<GenerateRequest, String> {
    let mut body = json!({"model": "tiny", "max_tokens": 10});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    let request: MessagesRequest = serde_json::from_value(body).map_err(|error| error.to_string())?;
    request.generation(tiny()).map_err(|fault| fault.message)
}

fn tiny() -> ModelName {
    ModelName::new("tiny").unwrap()
}

fn conversation(request: GenerateRequest) -> Conversation {
    let Input::Conversation(conversation) = request.input else {
        panic!("{:?}", request.input);
    };
    conversation
}

#[test]
fn texts_blocks_and_results_become_turns() {
    let request = read(json!({"system": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}],
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "user", "content": [{"type": "text", "text": "In Paris.", "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "a call", "signature": "x"},
                {"type": "redacted_thinking", "data": "zzz"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "sunny"}]},
                {"type": "tool_result", "tool_use_id": "toolu_9", "is_error": true},
                {"type": "text", "text": "Well?"}]},
        ]}))
    .unwrap();
    let conversation = conversation(request);
    let told: Vec<_> = conversation
        .messages
        .iter()
        .map(|message| (message.role.as_str(), message.content.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("system", "Be\nbrief."),
            ("user", "Weather?\nIn Paris."),
            ("assistant", "I look."),
            ("tool", "sunny"),
            ("tool", ""),
            ("user", "Well?"),
        ]
    );
    let asked = &conversation.messages[2];
    assert_eq!(asked.reasoning.as_deref(), Some("a call"));
    assert_eq!(asked.tool_calls[0].arguments["city"], "Paris");
    let result = &conversation.messages[3];
    assert_eq!(
        (result.tool_call_id.as_deref(), result.name.as_deref()),
        (Some("toolu_1"), Some("weather"))
    );
    assert!(!conversation.continues);
    assert_eq!(conversation.template_variables["enable_thinking"], false);
}

#[test]
fn a_last_turn_of_the_assistant_is_the_beginning_of_the_answer() {
    let request = read(json!({"messages": [
        {"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": "The colour is"}],
        "thinking": {"type": "enabled", "budget_tokens": 1024}}))
    .unwrap();
    let conversation = conversation(request);
    assert!(conversation.continues);
    assert_eq!(conversation.template_variables["enable_thinking"], true);
}

#[test]
fn pictures_in_what_a_tool_answered_do_not_end_the_conversation() {
    let result = |content: Value| {
        json!({"messages": [{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": content}]}]})
    };
    let image = json!({"type": "image", "source": {"type": "base64", "data": "x"}});
    let request = read(result(json!([{"type": "text", "text": "Seen:"}, image]))).unwrap();
    assert_eq!(
        conversation(request).messages[0].content,
        "Seen:\n[an image, which this model cannot see]"
    );
    assert!(read(result(json!([{"type": "thinking", "thinking": "x"}]))).is_err());
}

#[test]
fn choices_and_formats_are_read() {
    let hello = json!([{"role": "user", "content": "Hi"}]);
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let cases = [
        (json!({"type": "auto"}), (ToolChoice::Auto, true)),
        (
            json!({"type": "any", "disable_parallel_tool_use": true}),
            (ToolChoice::Required, false),
        ),
        (
            json!({"type": "tool", "name": "f"}),
            (ToolChoice::Function("f".into()), true),
        ),
        (json!({"type": "none"}), (ToolChoice::None, true)),
    ];
    for (choice, expected) in cases {
        let request = read(json!({"messages": hello, "tools": tools, "tool_choice": choice})).unwrap();
        assert_eq!((request.tool_choice, request.parallel_tool_calls), expected);
    }
    let schema = json!({"type": "object"});
    let format = json!({"type": "json_schema", "schema": schema});
    for place in [
        json!({"output_config": {"format": format}}),
        json!({"output_format": format}),
    ] {
        let mut body = json!({"messages": hello});
        for (key, value) in place.as_object().unwrap() {
            body[key] = value.clone();
        }
        assert_eq!(
            read(body).unwrap().format,
            OutputFormat::JsonSchema(schema.clone())
        );
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    for (body, part) in [
        (json!({"messages": []}), "at least one"),
        (
            user(json!([{"type": "image", "source": {"type": "base64", "data": "x"}}])),
            "images",
        ),
        (user(json!([{"type": "document", "source": {}}])), "documents"),
        (user(json!([{"type": "server_tool_use", "id": "x"}])), "this type"),
        (user(json!([{"type": "text"}])), "text"),
        (user(json!(7)), "a text or a list of blocks"),
        (
            user(json!([{"type": "thinking", "thinking": "x"}])),
            "user's turn",
        ),
        (json!({"messages": [{"role": "robot", "content": "x"}]}), "robot"),
        (
            json!({"messages": [{"role": "assistant", "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {}}]}]}),
            "tool_result",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}],
                "tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            "Anthropic's servers",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}],
                "tools": [{"type": "bash_20250124", "name": "bash"}]}),
            "only Anthropic's models know",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "tools": [{"name": "f"}]}),
            "input_schema",
        ),
    ] {
        let refusal = read(body.clone()).unwrap_err();
        assert!(refusal.contains(part), "{body}: {refusal}");
    }
}
