use super::*;

fn request(change: impl FnOnce(&mut GenerateRequest)) -> GenerateRequest {
    let mut request = GenerateRequest::new(ModelName::new("tiny").unwrap(), Input::Raw("Hi".into()));
    change(&mut request);
    request
}

#[test]
fn refuses_what_no_model_could_follow() {
    type Change = fn(&mut GenerateRequest);
    let bad: [(&str, Change); 17] = [
        ("temperature", |r| r.sampling.temperature = Some(-1.0)),
        ("temperature", |r| r.sampling.temperature = Some(f32::NAN)),
        ("temperature", |r| r.sampling.temperature = Some(f32::INFINITY)),
        ("top_p", |r| r.sampling.top_p = Some(1.5)),
        ("min_p", |r| r.sampling.min_p = Some(-0.1)),
        ("repetition_penalty", |r| {
            r.sampling.repetition_penalty = Some(0.0)
        }),
        ("logit_bias", |r| {
            r.sampling.logit_bias.insert(1, f32::NAN);
        }),
        ("max_tokens", |r| r.max_tokens = Some(0)),
        ("stop", |r| r.stop = vec![String::new()]),
        ("stop", |r| r.stop = vec!["x".into(); 17]),
        ("top_logprobs", |r| r.top_logprobs = Some(21)),
        ("prompt", |r| r.input = Input::Raw(String::new())),
        ("prompt", |r| r.input = Input::Tokens(Vec::new())),
        ("JSON schema", |r| {
            r.format = OutputFormat::JsonSchema(Value::from("string"));
        }),
        ("format", |r| {
            r.format = OutputFormat::Regex("a".repeat(MAX_FORMAT_BYTES + 1));
        }),
        ("tool_choice", |r| r.tool_choice = ToolChoice::Required),
        ("tool_choice", |r| {
            r.tool_choice = ToolChoice::Function("f".into())
        }),
    ];
    for (word, change) in bad {
        let fault = request(change).validate().unwrap_err();
        assert!(fault.message.contains(word), "{word}: {fault}");
        if let Some(param) = fault.figures.get("param") {
            assert_eq!(param, word);
        }
    }
    assert!(request(|_| {}).validate().is_ok());
}

#[test]
fn tools_are_as_many_and_as_large_as_a_model_can_read() {
    let tool = |description: String, parameters: Value| Tool {
        name: "f".to_owned(),
        description,
        parameters,
    };
    let with = |tools: Vec<Tool>| {
        request(|request| {
            request.input = Input::Conversation(Conversation {
                messages: vec![Message::new("user", "Hi")],
                tools,
                ..Conversation::default()
            });
        })
        .validate()
    };
    let small = tool(String::new(), Value::Null);
    assert!(with(vec![small.clone(); MAX_TOOLS]).is_ok());
    let large = Value::from(vec![Value::from("x".repeat(600 << 10))]);
    for tools in [
        vec![small; MAX_TOOLS + 1],
        vec![tool("x".repeat(MAX_TOOLS_BYTES), Value::Null)],
        vec![tool(String::new(), large); 2],
    ] {
        let fault = with(tools).unwrap_err();
        assert_eq!(
            fault.figures.get("param").map(String::as_str),
            Some("tools"),
            "{fault}"
        );
    }
}

#[test]
fn everything_a_template_is_given_counts_as_prompt() {
    let half = "x".repeat(MAX_PROMPT_BYTES / 2 + 1);
    let mut turn = Message::new("assistant", "");
    turn.reasoning = Some(half.clone());
    let conversation = Conversation {
        messages: vec![turn],
        documents: vec![Value::from(half)],
        ..Conversation::default()
    };
    let fault = Input::Conversation(conversation).validate().unwrap_err();
    assert!(fault.message.contains("prompt"), "{fault}");
}

#[test]
fn what_a_request_leaves_open_comes_from_the_package() {
    let package = Sampling {
        temperature: Some(0.6),
        top_k: Some(20),
        ..Sampling::default()
    };
    let request = Sampling {
        temperature: Some(0.0),
        ..Sampling::default()
    };
    let merged = request.or(&package);
    assert_eq!(
        (merged.temperature, merged.top_k, merged.top_p),
        (Some(0.0), Some(20), None)
    );
}
