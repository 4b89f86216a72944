//! Letting a chat template write a call, to see how it does.

use airunner_core::chat::{Conversation, Message, Tool, ToolCall};
use jiff::Zoned;
use serde_json::{Map, Value, json};

use super::parse::CallFormat;
use super::parse::probe::{KEY, NAME, Probes, VALUE};
use super::template::ChatTemplate;

/// The format of the calls that a template writes, if it can be read.
pub(super) fn format(template: &ChatTemplate) -> Option<CallFormat> {
    let render = |turn: Option<Message>| {
        let generate = turn.is_none();
        let conversation = Conversation {
            messages: std::iter::once(Message::new("user", "Hi")).chain(turn).collect(),
            tools: vec![tool()],
            ..Conversation::default()
        };
        template.render(&conversation, generate, &Zoned::default()).ok()
    };
    let called = Message {
        tool_calls: vec![ToolCall {
            id: "call00000".to_owned(),
            name: NAME.to_owned(),
            arguments: Map::from_iter([(KEY.to_owned(), Value::from(VALUE))]),
        }],
        ..Message::new("assistant", "")
    };
    let prompt = render(None)?;
    let answered = render(Some(Message::new("assistant", VALUE)))?;
    let called = render(Some(called))?;
    let probes = Probes {
        prompt: &prompt,
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
}
