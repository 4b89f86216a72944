//! The parameters of tools one by one, each with what its schema refers to.

use std::io;

use serde_json::{Map, Value};

use super::error::ConstraintError;
use crate::llm::text::{Kinds, choices};

/// A tool with more has no rules of its own: each parameter is a grammar.
const PROPERTIES_LIMIT: usize = 512;
/// The same for all tools of a request.
const ALL_PROPERTIES_LIMIT: usize = 4096;
/// Definitions go with each schema that refers to them; bytes of all these copies.
const COPIES_LIMIT: usize = 4 << 20;
/// Where definitions are.
const SHARED: [&str; 2] = ["$defs", "definitions"];

pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) schema: Value,
    pub(super) is_required: bool,
    /// May be text: where that stands without quotes, so does all else of this parameter.
    pub(super) is_text: bool,
    /// All that this may be, if that is a list.
    pub(super) choices: Option<Vec<String>>,
}

/// Counts what has been taken from the tools of one request.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    properties: usize,
    copied: usize,
}

impl Parameters {
    /// The parameters of a tool; what their schemas refer to goes with each.
    pub(super) fn of(&mut self, schema: &Value) -> Result<Vec<Parameter>, ConstraintError> {
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|list| list.iter().any(|entry| entry == name));
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Ok(Vec::new());
        };
        self.properties += properties.len();
        if properties.len() > PROPERTIES_LIMIT || self.properties > ALL_PROPERTIES_LIMIT {
            return Err(ConstraintError::TooComplex(format!(
                "a tool may have {PROPERTIES_LIMIT} parameters, and all of them {ALL_PROPERTIES_LIMIT}"
            )));
        }
        let own = properties.iter().map(|(name, own)| {
            Ok(Parameter {
                name: name.clone(),
                schema: self.with_definitions(own, schema)?,
                is_required: is_required(name),
                is_text: Kinds::of(own, schema).has_text(),
                choices: choices(own, schema),
            })
        });
        own.collect()
    }

    /// Only what the schema refers to, itself or by way of other definitions.
    fn with_definitions(&mut self, own: &Value, root: &Value) -> Result<Value, ConstraintError> {
        let mut needed: Vec<(&str, &str, &Value)> = Vec::new();
        let mut open = vec![own];
        while let Some(schema) = open.pop() {
            let mut found = Vec::new();
            references(schema, &mut found);
            for reference in found {
                for definition in definitions(root, reference) {
                    let is_new = !needed
                        .iter()
                        .any(|known| (known.0, known.1) == (definition.0, definition.1));
                    if is_new {
                        self.copied = self.copied.saturating_add(size(definition.2));
                        if self.copied > COPIES_LIMIT {
                            return Err(ConstraintError::TooComplex(
                                "the tools' parameters refer to large definitions again and again".to_owned(),
                            ));
                        }
                        needed.push(definition);
                        open.push(definition.2);
                    }
                }
            }
        }
        let mut own = own.clone();
        if let Value::Object(own) = &mut own {
            for (shared, name, definition) in needed {
                let list = own.entry(shared).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(list) = list {
                    list.insert(name.to_owned(), definition.clone());
                }
            }
        }
        Ok(own)
    }
}

/// Everything a schema refers to.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        Value::Object(object) => {
            for (key, value) in object {
                match value.as_str().filter(|_| key == "$ref") {
                    Some(reference) => found.push(reference),
                    None => references(value, found),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a reference leads to: one definition, or all where its name is written in another way.
fn definitions<'v>(root: &'v Value, reference: &str) -> Vec<(&'static str, &'v str, &'v Value)> {
    for shared in SHARED {
        let name = reference
            .strip_prefix("#/")
            .and_then(|path| path.strip_prefix(shared)?.strip_prefix('/'));
        let (Some(name), Some(all)) = (name, root.get(shared).and_then(Value::as_object)) else {
            continue;
        };
        let name = name.split('/').next().unwrap_or(name);
        let name = name.replace("~1", "/").replace("~0", "~");
        return match all.get_key_value(&name) {
            Some((name, definition)) => vec![(shared, name, definition)],
            None => all
                .iter()
                .map(|(name, definition)| (shared, name.as_str(), definition))
                .collect(),
        };
    }
    Vec::new()
}

/// Bytes of a value as JSON.
fn size(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn definitions_go_only_where_they_are_needed() {
        let schema = json!({
            "required": ["a"],
            "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"type": "string"}, "c": {"items": {"$ref": "#/definitions/C~1D"}}},
            "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/B"}, {"$ref": "#/$defs/A"}]}, "B": {"enum": [1]}, "X": {"enum": [2]}},
            "definitions": {"C/D": {"type": "integer"}},
        });
        let found = Parameters::default().of(&schema).unwrap();
        let schemas: Vec<&Value> = found.iter().map(|parameter| &parameter.schema).collect();
        assert_eq!(
            schemas[0],
            &json!({"$ref": "#/$defs/A", "$defs": {"A": schema["$defs"]["A"], "B": {"enum": [1]}}})
        );
        assert_eq!(schemas[1], &json!({"type": "string"}));
        assert_eq!(
            schemas[2],
            &json!({"items": {"$ref": "#/definitions/C~1D"}, "definitions": {"C/D": {"type": "integer"}}})
        );
        let required: Vec<bool> = found.iter().map(|parameter| parameter.is_required).collect();
        assert_eq!(required, [true, false, false]);
    }

    #[test]
    fn copies_and_parameters_have_a_limit() {
        let large = "x".repeat(64 << 10);
        let properties: Map<String, Value> = (0..PROPERTIES_LIMIT)
            .map(|number| (format!("p{number}"), json!({"$ref": "#/$defs/A"})))
            .collect();
        let copied = json!({"properties": properties, "$defs": {"A": {"const": large}}});
        let error = Parameters::default().of(&copied).err().unwrap();
        assert!(error.to_string().contains("definitions"), "{error}");

        let small = json!({"properties": properties, "$defs": {"A": {"const": 1}}});
        let mut parameters = Parameters::default();
        for _ in 0..ALL_PROPERTIES_LIMIT / PROPERTIES_LIMIT {
            assert_eq!(parameters.of(&small).unwrap().len(), PROPERTIES_LIMIT);
        }
        assert!(parameters.of(&small).is_err());
    }
}
