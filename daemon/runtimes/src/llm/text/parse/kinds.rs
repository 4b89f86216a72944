//! Which kinds of JSON values a schema allows: what tells an argument's text from its JSON.

use serde_json::Value;

/// References and choices that are followed; what is left then may be anything.
const STEPS: usize = 256;
/// More choices are not told apart.
const CHOICES_LIMIT: usize = 256;

/// Some of the six kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::llm) struct Kinds(u8);

impl Kinds {
    const NONE: Self = Self(0);
    const STRING: Self = Self(1);
    const NUMBER: Self = Self(2);
    const BOOLEAN: Self = Self(4);
    const NULL: Self = Self(8);
    const ARRAY: Self = Self(16);
    const OBJECT: Self = Self(32);
    const ALL: Self = Self(63);

    /// What `schema` allows, whose references lead into `root`.
    pub(in crate::llm) fn of(schema: &Value, root: &Value) -> Self {
        let mut steps = STEPS;
        kinds(schema, root, &mut steps)
    }

    pub(in crate::llm) const fn has_text(self) -> bool {
        self.0 & Self::STRING.0 != 0
    }

    pub(super) const fn has(self, value: &Value) -> bool {
        self.0 & Self::of_value(value).0 != 0
    }

    const fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn named(name: &Value) -> Self {
        match name.as_str() {
            Some("string") => Self::STRING,
            Some("number" | "integer") => Self::NUMBER,
            Some("boolean") => Self::BOOLEAN,
            Some("null") => Self::NULL,
            Some("array") => Self::ARRAY,
            Some("object") => Self::OBJECT,
            Some(_) | None => Self::ALL,
        }
    }
}

fn kinds(schema: &Value, root: &Value, steps: &mut usize) -> Kinds {
    let Some(left) = steps.checked_sub(1) else {
        return Kinds::ALL;
    };
    *steps = left;
    let Value::Object(schema) = schema else {
        return if *schema == Value::Bool(false) {
            Kinds::NONE
        } else {
            Kinds::ALL
        };
    };
    let mut allowed = Kinds::ALL;
    for (key, value) in schema {
        let these = match (key.as_str(), value) {
            ("type", Value::Array(names)) => any(names.iter().map(Kinds::named)),
            ("type", name) => Kinds::named(name),
            ("const", value) => Kinds::of_value(value),
            ("enum", Value::Array(values)) => any(values.iter().map(Kinds::of_value)),
            ("anyOf" | "oneOf", Value::Array(choices)) => {
                any(choices.iter().map(|choice| kinds(choice, root, steps)))
            }
            ("allOf", Value::Array(parts)) => parts
                .iter()
                .map(|part| kinds(part, root, steps))
                .fold(Kinds::ALL, Kinds::and),
            ("$ref", Value::String(reference)) => match referenced(root, reference) {
                Some(schema) => kinds(schema, root, steps),
                None => Kinds::ALL,
            },
            _ => Kinds::ALL,
        };
        allowed = allowed.and(these);
    }
    allowed
}

fn any(kinds: impl Iterator<Item = Kinds>) -> Kinds {
    kinds.fold(Kinds::NONE, Kinds::or)
}

fn referenced<'v>(root: &'v Value, reference: &str) -> Option<&'v Value> {
    root.pointer(reference.strip_prefix('#')?)
}

/// Everything a schema allows as it is written without quotes, if that is a list.
pub(in crate::llm) fn choices(schema: &Value, root: &Value) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut steps = STEPS;
    collect(schema, root, &mut steps, &mut found)?;
    found.sort();
    found.dedup();
    Some(found)
}

fn collect(schema: &Value, root: &Value, steps: &mut usize, found: &mut Vec<String>) -> Option<()> {
    *steps = steps.checked_sub(1)?;
    let schema = schema.as_object()?;
    if let Some(Value::String(reference)) = schema.get("$ref") {
        return collect(referenced(root, reference)?, root, steps, found);
    }
    if let Some(Value::Array(choices)) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
        return choices
            .iter()
            .try_for_each(|choice| collect(choice, root, steps, found));
    }
    let one = schema.get("const").map(std::slice::from_ref);
    let values = one.or_else(|| Some(schema.get("enum")?.as_array()?.as_slice()));
    match (values, schema.get("type").and_then(Value::as_str)) {
        (Some(values), _) => found.extend(values.iter().map(bare)),
        (None, Some("null")) => found.push("null".to_owned()),
        (None, Some(_) | None) => return None,
    }
    (found.len() <= CHOICES_LIMIT).then_some(())
}

/// As a value stands between tags.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_says_in_many_ways_that_text_is_allowed() {
        let root = json!({"$defs": {"Name": {"enum": ["a", "b"]}, "Size": {"type": "integer"}, "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}, {"$ref": "#/$defs/Loop"}]}}});
        let texts = [
            json!({"type": "string"}),
            json!({"type": ["string", "null"]}),
            json!({"anyOf": [{"type": "string"}, {"type": "null"}], "default": null}),
            json!({"enum": ["a", null]}),
            json!({"const": "a"}),
            json!({"$ref": "#/$defs/Name"}),
            json!({"allOf": [{"$ref": "#/$defs/Name"}], "default": "a"}),
            json!({"$ref": "#/$defs/Loop"}),
            json!({}),
            json!(true),
        ];
        for schema in texts {
            assert!(Kinds::of(&schema, &root).has_text(), "{schema}");
        }
        for schema in [
            json!({"type": "integer"}),
            json!({"type": ["array", "null"]}),
            json!({"anyOf": [{"type": "number"}, {"$ref": "#/$defs/Size"}]}),
            json!({"enum": [1, null]}),
            json!({"allOf": [{"$ref": "#/$defs/Size"}]}),
            json!(false),
        ] {
            assert!(!Kinds::of(&schema, &root).has_text(), "{schema}");
        }
        let optional = Kinds::of(&json!({"type": ["string", "null"]}), &root);
        assert!(optional.has(&json!(null)) && !optional.has(&json!(1)));
    }

    #[test]
    fn a_list_of_choices_is_told() {
        let root = json!({"$defs": {"Name": {"enum": ["b", "a"]}}});
        let optional = json!({"anyOf": [{"$ref": "#/$defs/Name"}, {"type": "null"}]});
        assert_eq!(choices(&optional, &root).unwrap(), ["a", "b", "null"]);
        assert_eq!(choices(&json!({"const": 1}), &root).unwrap(), ["1"]);
        assert_eq!(choices(&json!({"type": "string"}), &root), None);
        assert_eq!(
            choices(&json!({"anyOf": [{"enum": ["a"]}, {"type": "string"}]}), &root),
            None
        );
    }
}
