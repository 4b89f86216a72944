//! Hostile templates and the shapes of variables; equality with transformers is tested in
//! `tests/chat_templates.rs`.

use airunner_core::chat::{Conversation, Message, Tool, ToolCall};
use airunner_core::{ErrorKind, Fault};
use jiff::civil::date;
use jiff::tz::TimeZone;
use serde_json::json;

use super::*;

fn now() -> Zoned {
    date(2026, 1, 2).at(3, 4, 5, 0).to_zoned(TimeZone::UTC).unwrap()
}

fn rendered(source: &str, conversation: &Conversation) -> Result<String, TemplateError> {
    ChatTemplate::compile(source, &SpecialTokens::default())?.render(conversation, true, &now())
}

fn one(content: &str) -> Conversation {
    Conversation {
        messages: vec![Message::new("user", content)],
        ..Conversation::default()
    }
}

#[test]
fn endless_templates_come_to_an_end() {
    let sources = [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{{ 'x' * 10000000000 }}",
        "{% for i in range(100000) %}{{ messages[0].content.replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaa') }}{% endfor %}",
        "{% for i in range(100000) %}{{ messages | tojson | tojson | tojson }}{% endfor %}",
    ];
    for source in sources {
        let error = rendered(source, &one(&"a".repeat(1000))).unwrap_err();
        let fault = Fault::from(error);
        assert_eq!(fault.kind, ErrorKind::TemplateFailed, "{source}: {fault}");
    }
}

/// Doubling a list costs the engine more than it counts, so the clock ends it.
#[test]
fn an_operation_that_never_ends_is_left_at_the_deadline() {
    let source =
        "{% set ns = namespace(x=['ab']) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
    let mut template = ChatTemplate::compile(source, &SpecialTokens::default()).unwrap();
    template.guard = Guard::new("test", Duration::from_millis(100));
    let error = template.render(&one("a"), true, &now()).unwrap_err();
    assert!(matches!(error, TemplateError::Endless), "{error:?}");
}

/// What nests is bounded by the size of the source or by the budget, and the stack holds it, also
/// while it is freed.
#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let repeated = |before: &str, part: &str, after: &str| {
        format!("{before}{}{after}", part.repeat((SOURCE_LIMIT - 64) / part.len()))
    };
    let nested = |then: &str| {
        format!(
            "{{% set ns = namespace(x=[]) %}}{{% for i in range(25000) %}}{{% set ns.x = [ns.x] %}}{{% endfor %}}\
             {then}"
        )
    };
    let deep = [
        repeated("{{ ", "(", "1"),
        repeated("{{ ", "-", "1 }}"),
        repeated("{{ ", "not ", "1 }}"),
        repeated("{{ x", "|upper", " }}"),
        repeated("{{ x", ".a", " }}"),
        repeated("{{ x", "()", " }}"),
        repeated("{{ 1", "+1", " }}"),
        repeated("{{ x", " if x else x", " }}"),
        repeated("{% if x %}", "{% elif x %}", "{% endif %}"),
        repeated("", "{% if true %}", ""),
        nested(""),
        nested("{{ ns.x }}"),
        nested("{{ ns.x == ns.x }}"),
        nested("{{ ns.x | tojson }}"),
        nested("{{ ns.x.nothing() }}"),
        nested("{{ raise_exception(ns.x) }}"),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
        "{% for a in messages recursive %}{{ loop(messages) }}{% endfor %}".to_owned(),
    ];
    for source in deep {
        assert!(source.len() <= SOURCE_LIMIT);
        // Some of these are merely long and may render; all of them come back.
        let _ = rendered(&source, &one("a"));
    }
}

/// Each of these asks for more memory than there is in one step.
#[test]
fn one_step_cannot_take_all_memory() {
    let long = "{% set s = 'a' * 1000000 %}";
    for step in [
        "{{ s.replace('a', s) }}",
        "{{ s | replace('a', s) }}",
        "{{ s.join(range(99999) | list) }}",
        "{{ range(99999) | join(s) }}",
        "{{ '{:>99999999999}'.format('x') }}",
        "{{ '%99999999999d' | format(1) }}",
        "{{ ([[1] * 1000] * 1000) | tojson(indent=s) | length > 1 }}{{ ([1] * 100000) | tojson(separators=(s, s)) }}",
        "{{ 'x' | center(99999999999) }}",
        "{{ ('a\n' * 100000) | indent(99999999) }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ range(99999999999) | list }}",
    ] {
        let error = rendered(&format!("{long}{step}"), &one("a")).unwrap_err();
        assert_eq!(Fault::from(error).kind, ErrorKind::TemplateFailed, "{step}");
    }
}

#[test]
fn a_template_reaches_nothing_outside() {
    for source in [
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends 'chat_template' %}",
        "{{ open('/etc/passwd') }}",
        "{{ ''.__class__.__mro__ }}{{ debug() }}",
        "{{ messages.append(1) }}",
    ] {
        let fault = Fault::from(rendered(source, &one("a")).unwrap_err());
        assert_eq!(fault.kind, ErrorKind::TemplateFailed, "{source}");
    }
}

#[test]
fn errors_say_who_made_them() {
    let refused = rendered("{{ raise_exception('Only one user') }}", &one("a")).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("refuses the conversation: Only one user"),
        "{refused}"
    );
    let broken = rendered("a\n{{ messages.nothing() }}", &one("a")).unwrap_err();
    assert!(broken.to_string().contains("line 2"), "{broken}");
    let syntax = rendered("{% nonsense %}", &one("a")).unwrap_err();
    assert!(
        matches!(syntax, TemplateError::Syntax(_)) && syntax.to_string().contains("--raw"),
        "{syntax}"
    );
    let large = rendered(&" ".repeat(2 << 20), &one("a")).unwrap_err();
    assert!(matches!(large, TemplateError::TooLarge { .. }));
}

#[test]
fn a_long_conversation_is_no_endless_template() {
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}{{ '\\n' }}{% endfor %}";
    let long = rendered(template, &one(&"word ".repeat(2 << 20))).unwrap();
    assert_eq!(long.len(), "user: ".len() + (10 << 20) - 1 + 1);
    let many = Conversation {
        messages: vec![Message::new("user", "Hi"); 20_000],
        ..Conversation::default()
    };
    assert_eq!(rendered(template, &many).unwrap().lines().count(), 20_000);
}

#[test]
fn json_is_written_as_python_does() {
    let numbers = json!({"a": [1, -2, 1.0, 1e-7, 1e21, 1e16, 123456789012345.6, 0.0001, 18446744073709551615u64],
        "b": {}, "c": [], "d": "é<&'\"\\\u{1}\n", "e": null, "f": true});
    let variables = json!({"x": numbers});
    let render = |source: &str| {
        let template = ChatTemplate::compile(source, &SpecialTokens::default()).unwrap();
        template
            .render_variables(variables.as_object().unwrap(), &now())
            .unwrap()
    };
    assert_eq!(
        render("{{ x | tojson }}"),
        r#"{"a": [1, -2, 1.0, 1e-07, 1e+21, 1e+16, 123456789012345.6, 0.0001, 18446744073709551615], "b": {}, "c": [], "d": "é<&'\"\\\u0001\n", "e": null, "f": true}"#
    );
    assert_eq!(
        render("{{ {'k': [1, 'é'], 'e': []} | tojson(indent=2, ensure_ascii=true) }}"),
        "{\n  \"k\": [\n    1,\n    \"\\u00e9\"\n  ],\n  \"e\": []\n}"
    );
    assert_eq!(
        render("{{ {'b': 1, 'a': [2, 3]} | tojson(separators=(',', ':'), sort_keys=true) }}"),
        r#"{"a":[2,3],"b":1}"#
    );
}

#[test]
fn strings_have_pythons_methods() {
    let cases = [
        ("'a-b-c'.partition('-')[2]", "b-c"),
        ("'a-b-c'.rpartition('-')[0]", "a-b"),
        ("'abc'.partition('-')[0]", "abc"),
        ("'a b c'.rsplit(' ', 1)[1]", "c"),
        ("'a b c'.rsplit(' ')[0]", "a"),
        ("'xxab'.removeprefix('xx')", "ab"),
        ("'abxx'.removesuffix('xx')", "ab"),
        ("' x '.strip()", "x"),
        ("'a,b'.split(',')[1]", "b"),
        ("strftime_now('%d %b %Y')", "02 Jan 2026"),
    ];
    for (expression, expected) in cases {
        let source = format!("{{{{ {expression} }}}}");
        assert_eq!(rendered(&source, &one("a")).unwrap(), expected, "{expression}");
    }
}

#[test]
fn variables_have_the_shapes_of_transformers() {
    let call = ToolCall {
        id: "call12345".to_owned(),
        name: "add".to_owned(),
        arguments: json!({"z": 1, "a": 2}).as_object().unwrap().clone(),
    };
    let assistant = Message {
        tool_calls: vec![call],
        reasoning: Some("Hm.".to_owned()),
        ..Message::new("assistant", "")
    };
    let answer = Message {
        tool_call_id: Some("call12345".to_owned()),
        name: Some("add".to_owned()),
        ..Message::new("tool", "3")
    };
    let conversation = Conversation {
        messages: vec![assistant, answer],
        tools: vec![Tool {
            name: "add".to_owned(),
            description: "Adds.".to_owned(),
            parameters: json!({"type": "object"}),
        }],
        documents: vec![json!({"title": "T", "text": "D"})],
        template_variables: json!({"enable_thinking": false}).as_object().unwrap().clone(),
        ..Conversation::default()
    };
    let template = "{{ messages | tojson }}\n{{ tools | tojson }}\n{{ documents | tojson }}\n\
                    {{ [enable_thinking, add_generation_prompt, missing is defined] | tojson }}";
    let expected = concat!(
        r#"[{"thinking": "Hm.", "role": "assistant", "content": "", "tool_calls": [{"id": "call12345", "type": "function", "function": {"name": "add", "arguments": {"z": 1, "a": 2}}}], "reasoning_content": "Hm."}, {"role": "tool", "content": "3", "tool_call_id": "call12345", "name": "add"}]"#,
        "\n",
        r#"[{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}]"#,
        "\n",
        r#"[{"title": "T", "text": "D"}]"#,
        "\n[false, true, false]"
    );
    assert_eq!(rendered(template, &conversation).unwrap(), expected);
    let nothing = "{{ [tools, documents] | tojson }}{% if messages[0].content is none %}none{% endif %}";
    assert_eq!(rendered(nothing, &one("")).unwrap(), "[null, null]");
    assert_eq!(
        rendered("{{ messages[0].content is none }}", &conversation).unwrap(),
        "True"
    );
}

#[test]
fn generation_tags_render_their_content() {
    let template =
        "{% for m in messages %}\n{%- generation -%}\n {{ m.content }}\n{%- endgeneration %}\n{% endfor %}";
    assert_eq!(rendered(template, &one("Hi")).unwrap(), "Hi");
}

/// A call and its result, as other services name them.
fn with_call(id: &str) -> Conversation {
    let assistant = Message {
        tool_calls: vec![ToolCall {
            id: id.to_owned(),
            name: "add".to_owned(),
            arguments: json!({"a": 2}).as_object().unwrap().clone(),
        }],
        ..Message::new("assistant", "")
    };
    let result = Message {
        tool_call_id: Some(id.to_owned()),
        ..Message::new("tool", "3")
    };
    Conversation {
        messages: vec![Message::new("user", "Add."), assistant, result],
        ..Conversation::default()
    }
}

#[test]
fn ids_of_calls_take_the_form_that_a_template_wants() {
    let strict = "{% for m in messages %}{% for c in m.tool_calls or [] %}\
                  {% if c.id | length != 9 %}{{ raise_exception('nine') }}{% endif %}{{ c.id }}={% endfor %}\
                  {% if m.tool_call_id %}{{ m.tool_call_id }}{% endif %}{% endfor %}";
    let found = rendered(strict, &with_call("call_0123456789")).unwrap();
    let (call, result) = found.split_once('=').unwrap();
    assert_eq!((call, call.len()), (result, 9));
    assert_eq!(
        rendered(strict, &with_call("abcDEF123")).unwrap(),
        "abcDEF123=abcDEF123"
    );
    // Where no form is wanted, ids stay as they are.
    let lenient = strict.replace("!= 9", "== 0");
    assert_eq!(rendered(&lenient, &with_call("call_1")).unwrap(), "call_1=call_1");
    // And a refusal for another reason is told as it is.
    let refused = rendered("{{ raise_exception('never') }}", &with_call("call_1")).unwrap_err();
    assert!(refused.to_string().contains("never"), "{refused}");
}

#[test]
fn a_template_of_mistral_takes_ids_of_any_form() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/testdata/chat-templates/mistralai-Mistral-Nemo-Instruct-2407.jinja");
    let Ok(source) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not here", path.display());
        return;
    };
    let tokens = SpecialTokens::default();
    let template = ChatTemplate::compile(&source, &tokens).unwrap();
    let mut conversation = with_call("call_0123456789abcdef");
    let tokens_of_its_own = json!({"bos_token": "<s>", "eos_token": "</s>"});
    conversation.template_variables = tokens_of_its_own.as_object().unwrap().clone();
    let found = template.render(&conversation, true, &now()).unwrap();
    let (_, call) = found.split_once("\"id\": \"").unwrap();
    let (_, result) = found.split_once("\"call_id\": \"").unwrap();
    assert_eq!(call[..9], result[..9], "{found}");
    assert!(
        call[9..].starts_with('"') && result[9..].starts_with('"'),
        "{found}"
    );
}
