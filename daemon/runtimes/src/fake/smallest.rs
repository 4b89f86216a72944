//! The smallest sensible value of a JSON schema, for answers that nobody scripted.

use serde_json::{Map, Value, json};

/// Schemas nested deeper than this become `null`.
const DEPTH: usize = 32;

/// A value that simple schemas allow: what is required and nothing else.
pub(super) fn smallest(schema: &Value) -> Value {
    value(schema, schema, DEPTH)
}

fn value(schema: &Value, root: &Value, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else {
        return Value::Null;
    };
    if let Some(told) = told(schema) {
        return told.clone();
    }
    if let Some(target) = reference(schema, root) {
        return value(target, root, depth);
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(choice).and_then(|list| list.get(0)) {
            return value(first, root, depth);
        }
    }
    match kind(schema) {
        "object" => object(schema, root, depth),
        "array" => {
            let count = schema
                .get("minItems")
                .and_then(Value::as_u64)
                .unwrap_or(0)
                .min(64);
            let item = schema.get("items").unwrap_or(&Value::Null);
            (0..count).map(|_| value(item, root, depth)).collect()
        }
        "string" => {
            let length = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
            Value::from("a".repeat(usize::try_from(length.min(4096)).unwrap_or(0)))
        }
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        "boolean" => json!(false),
        _ => Value::Null,
    }
}

/// A value that the schema names itself.
fn told(schema: &Value) -> Option<&Value> {
    let listed = || schema.get("enum").and_then(|list| list.get(0));
    schema
        .get("const")
        .or_else(listed)
        .or_else(|| schema.get("default"))
}

fn reference<'s>(schema: &Value, root: &'s Value) -> Option<&'s Value> {
    let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
    root.pointer(pointer)
}

fn kind(schema: &Value) -> &str {
    let of_list = |value: &'_ Value| value.get(0).is_some();
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(list) if of_list(list) => list[0].as_str().unwrap_or("null"),
        Some(_) | None if schema.get("items").is_some() => "array",
        Some(_) | None => "object",
    }
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let required = schema.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    let of = |name: &str| schema.get("properties").and_then(|all| all.get(name));
    names
        .map(|name| {
            let inner = of(name).map_or(Value::Null, |inner| value(inner, root, depth));
            (name.to_owned(), inner)
        })
        .collect::<Map<String, Value>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_required_is_there() {
        let schema = json!({"type": "object", "required": ["name", "tags", "kind", "inner"],
            "properties": {
                "name": {"type": "string", "minLength": 2}, "age": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "integer", "minimum": 3}, "minItems": 1},
                "kind": {"enum": ["x", "y"]}, "inner": {"$ref": "#/$defs/inner"}},
            "$defs": {"inner": {"anyOf": [{"type": ["boolean", "null"]}]}}});
        assert_eq!(
            smallest(&schema),
            json!({"name": "aa", "tags": [3], "kind": "x", "inner": false})
        );
        assert_eq!(smallest(&json!(true)), json!({}));
    }

    #[test]
    fn schemas_that_refer_to_themselves_end() {
        assert_eq!(smallest(&json!({"$ref": "#"})), Value::Null);
    }
}
