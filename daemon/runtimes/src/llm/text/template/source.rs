//! What has to be known or changed about a template before it is compiled.

/// `{% generation %}` marks the assistant's part for training and renders its content: to the
/// engine it is an `if` that always holds.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        text.push_str(before);
        let sign = tag.len() - tag.trim_start_matches(['-', '+']).len();
        let (sign, after) = tag.split_at(sign);
        let word = after.trim_start();
        text.push_str(sign);
        rest = match (ends_tag(word, "generation"), ends_tag(word, "endgeneration")) {
            (Some(end), _) => {
                text.push_str(" if true ");
                end
            }
            (None, Some(end)) => {
                text.push_str(" endif ");
                end
            }
            (None, None) => after,
        };
    }
    text.push_str(rest);
    text
}

/// What follows if the tag consists of this word alone.
fn ends_tag<'source>(tag: &'source str, word: &str) -> Option<&'source str> {
    let rest = tag.strip_prefix(word)?.trim_start();
    rest.trim_start_matches(['-', '+'])
        .starts_with("%}")
        .then_some(rest)
}

/// Templates that tell an assistant's calls from its text by `content is none` need a real none
/// where others are content with an empty text.
pub(super) fn asks_for_no_content(source: &str) -> bool {
    ["content is none", "content'] is none", "content\"] is none"]
        .iter()
        .any(|words| source.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_tags_become_a_condition_that_holds() {
        assert_eq!(
            without_generation_tags("a{%- generation -%}b{% endgeneration %}{% if generation %}{{ x }}"),
            "a{%- if true -%}b{% endif %}{% if generation %}{{ x }}"
        );
        assert_eq!(
            without_generation_tags("{% generations %}{%"),
            "{% generations %}{%"
        );
    }
}
