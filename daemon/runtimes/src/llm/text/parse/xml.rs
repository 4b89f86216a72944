//! `<function=name><parameter=key>value</parameter></function>`, where text stands without quotes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::calls::Call;

/// All calls of a text that has nothing else.
pub(super) fn calls(text: &str) -> Option<Vec<Call>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (call, after) = function(rest)?;
        found.push(call);
        rest = after.trim_start();
    }
    (!found.is_empty()).then_some(found)
}

fn function(text: &str) -> Option<(Call, &str)> {
    let (name, body) = text.strip_prefix("<function=")?.split_once('>')?;
    let (body, after) = body.split_once("</function>").unwrap_or((body, ""));
    let mut arguments = Map::new();
    let mut written = BTreeMap::new();
    let mut rest = body.trim_start();
    while let Some(parameter) = rest.strip_prefix("<parameter=") {
        let (key, value) = parameter.split_once('>')?;
        let (value, following) = value
            .split_once("</parameter>")
            .or_else(|| value.find("<parameter=").map(|at| value.split_at(at)))
            .unwrap_or((value, ""));
        let (key, value) = (key.trim().to_owned(), inner(value));
        arguments.insert(key.clone(), literal(value));
        written.insert(key, value.to_owned());
        rest = following.trim_start();
    }
    let name = name.trim().trim_matches('"').to_owned();
    let is_call = rest.trim().is_empty() && !name.is_empty();
    let call = Call {
        id: None,
        name,
        arguments,
        written,
    };
    is_call.then_some((call, after))
}

/// One line break at each end belongs to the tags.
fn inner(value: &str) -> &str {
    let value = value.strip_prefix('\n').unwrap_or(value);
    value.strip_suffix('\n').unwrap_or(value)
}

/// JSON where it is something else than text; the tool's schema decides where it may be both.
fn literal(value: &str) -> Value {
    match serde_json::from_str::<Value>(value) {
        Ok(Value::String(_)) | Err(_) => Value::from(value),
        Ok(other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_text_unless_they_are_json() {
        let text = "<function=write>\n<parameter=path>\na b.txt\n</parameter>\n<parameter=lines>\n[1, 2]\n</parameter>\n\
                    <parameter=text>\n\"quoted\"\n\nend\n</parameter>\n</function>";
        let found = calls(text).unwrap();
        assert_eq!(found[0].name, "write");
        assert_eq!(
            Value::Object(found[0].arguments.clone()),
            json!({"path": "a b.txt", "lines": [1, 2], "text": "\"quoted\"\n\nend"})
        );
        assert_eq!(calls("<function=f></function>").unwrap()[0].arguments.len(), 0);
        assert_eq!(calls("<function=f> text"), None);
        assert_eq!(calls("no call"), None);
    }
}
