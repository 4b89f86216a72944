//! Letting a chat template write a call, to see how it does.

use airunner_core::chat::{Conversation, Message, Tool, ToolCall};
use jiff::Zoned;
use serde_json::{Map, Value, json};

use super::parse::CallFormat;
use super::parse::probe::{KEY, NAME, Probes, VALUE};
use super::template::ChatTemplate;

/// The format of the calls that a template writes, if it can be read.
pub(super) fn format(template: &ChatTemplate) -> Option<CallFormat> {
    let render = |turn: Message| {
        let conversation = Conversation {
            messages: vec![Message::new("user", "Hi"), turn],
            tools: vec![tool()],
            ..Conversation::default()
        };
        template.render(&conversation, false, &Zoned::default()).ok()
    };
    let called = Message {
        tool_calls: vec![ToolCall {
            id: "call00000".to_owned(),
            name: NAME.to_owned(),
            arguments: Map::from_iter([(KEY.to_owned(), Value::from(VALUE))]),
        }],
        ..Message::new("assistant", "")
    };
    let answered = render(Message::new("assistant", VALUE))?;
    let called = render(called)?;
    let probes = Probes {
        answered: &answered,
        called: &called,
    };
    probes.format()
}

fn tool() -> Tool {
    Tool {
        name: "another_name".to_owned(),
        description: "A function".to_owned(),
        parameters: json!({"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}),
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::SpecialTokens;
    use super::super::parse::probe::common;
    use super::super::parse::{OutputFormat, OutputParser, Parsed};
    use super::*;

    #[test]
    fn a_template_of_no_known_family_shows_its_marks() {
        let source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] %}\
            <<call {{ c.function.name }}>>{{ c.function.arguments | tojson }}<</call>>{% endfor %}<end>{% endfor %}\
            {% if add_generation_prompt %}<assistant>{% endif %}{{ tools }}";
        let template =
            ChatTemplate::compile(&source.replace("{{ tools }}", ""), &SpecialTokens::default()).unwrap();
        let found = format(&template).unwrap();
        assert_eq!(
            (found.open.as_ref(), found.close.as_deref()),
            ("<<call", Some("<</call>>"))
        );
        assert_eq!(found.frame.before, " ");
    }

    /// What a template writes as a turn with calls is read as these calls.
    fn reads_its_own(source: &str) -> Result<(), String> {
        let template = ChatTemplate::compile(source, &SpecialTokens::default()).map_err(|e| e.to_string())?;
        let mut format = OutputFormat::detect(source, |_| false);
        format.calls = format.calls.or_else(|| super::format(&template));
        let arguments = json!({"city": "Paris \"x\"", "days": [1, 2]});
        let call = ToolCall {
            id: "abc123XYZ".to_owned(),
            name: "get_weather".to_owned(),
            arguments: arguments.as_object().unwrap().clone(),
        };
        let calling = Message {
            tool_calls: vec![call],
            ..Message::new("assistant", "")
        };
        let tool = Tool {
            name: "get_weather".to_owned(),
            description: "Weather".to_owned(),
            parameters: json!({"type": "object", "properties": {"city": {"type": "string", "description": "c"},
                "days": {"type": "array", "description": "d", "items": {"type": "integer"}}}, "required": ["city"]}),
        };
        let render = |messages: Vec<Message>| {
            let conversation = Conversation {
                messages,
                tools: vec![tool.clone()],
                ..Conversation::default()
            };
            template
                .render(&conversation, false, &Zoned::default())
                .map_err(|error| error.to_string())
        };
        let user = || Message::new("user", "Hi");
        let plain = render(vec![user(), Message::new("assistant", "~")])?;
        let whole = render(vec![user(), calling])?;
        let common = common(&plain, &whole);
        let turn = &whole[common..];
        let mut parser = OutputParser::new(format, false, vec!["get_weather".to_owned()], 1);
        let mut pieces = parser.push(turn);
        pieces.extend(parser.finish());
        let (mut name, mut text) = (None, String::new());
        for piece in pieces {
            if let Parsed::Call(delta) = piece {
                name = name.or(delta.name);
                text.push_str(&delta.arguments);
            }
        }
        let read: Value = serde_json::from_str(&text).map_err(|_| format!("{turn:?} has no call"))?;
        let is_same = name.as_deref() == Some("get_weather") && read == arguments;
        if is_same {
            Ok(())
        } else {
            Err(format!("{name:?} {read}"))
        }
    }

    #[test]
    fn real_templates_write_calls_that_are_read() {
        let directory =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata/chat-templates");
        let Ok(entries) = std::fs::read_dir(&directory) else {
            eprintln!(
                "SKIPPED: no templates beside the checkout ({})",
                directory.display()
            );
            return;
        };
        // These write no calls of the assistant.
        let silent = ["gemma-2-2b", "LFM2.5", "granite-3.3", "SmolLM3"];
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            if path.extension().is_none_or(|end| end != "jinja") || silent.iter().any(|s| name.contains(s)) {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let source = format!("{{% set eos_token = '</s>' %}}{{% set bos_token = '<s>' %}}{source}");
            if let Err(why) = reads_its_own(&source) {
                panic!("{name}: {why}");
            }
        }
    }
}
