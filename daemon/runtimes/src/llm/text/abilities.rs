//! What a chat template has room for, told from its text without running it.

/// Whether a template writes tools for the model, and whether it lets the model think.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    pub tools: bool,
    pub thinking: bool,
}

/// Texts of templates whose models think before they answer.
const THINKING: [&str; 8] = [
    "<think>",
    "[THINK]",
    "enable_thinking",
    "reasoning_content",
    "<|channel|>",
    "<seed:think>",
    "<|START_THINKING|>",
    "<|inner_prefix|>",
];

impl Abilities {
    /// `template` is the source of a chat template.
    #[must_use]
    pub fn of(template: &str) -> Self {
        Self {
            tools: reads(template, "tools"),
            thinking: THINKING.iter().any(|text| template.contains(text)),
        }
    }
}

/// Whether a tag or an expression of the template names the variable.
fn reads(template: &str, variable: &str) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'.';
    let code = [("{%", "%}"), ("{{", "}}")]
        .into_iter()
        .flat_map(|(open, close)| {
            let parts = template.split(open).skip(1);
            parts.filter_map(move |rest| rest.split_once(close).map(|(code, _)| code))
        });
    code.into_iter().any(|code| {
        code.match_indices(variable).any(|(start, _)| {
            let before = code.as_bytes()[..start].last();
            let after = code.as_bytes().get(start + variable.len());
            let quoted = |byte: Option<&u8>| matches!(byte, Some(b'\'' | b'"'));
            let is_longer =
                before.is_some_and(is_name) || after.is_some_and(|byte| is_name(byte) && *byte != b'.');
            let is_text = quoted(before) && quoted(after);
            !is_longer && !is_text
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_a_variable_and_thinking_a_mark() {
        let cases = [
            ("{% for m in messages %}{{ m.content }}{% endfor %}", false, false),
            ("{%- if tools %}..{% endif %}", true, false),
            (
                "{% for t in tools | list %}x{% endfor %}{{ '<think>' }}",
                true,
                true,
            ),
            ("You have no tools. {{ messages }}", false, false),
            ("{% if m['tools'] %}{% endif %}", false, false),
            ("{% if my_tools %}{% endif %}", false, false),
            ("{% if not enable_thinking %}{% endif %}", false, true),
        ];
        for (template, tools, thinking) in cases {
            assert_eq!(
                Abilities::of(template),
                Abilities { tools, thinking },
                "{template}"
            );
        }
    }

    #[test]
    fn broken_templates_are_looked_at_too() {
        assert_eq!(Abilities::of("{% {{ tools"), Abilities::default());
        assert_eq!(Abilities::of(""), Abilities::default());
    }
}
