//! The description holds together.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::http::router::routes;

fn document() -> Value {
    routes().1
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods
                .filter(|(_, operation)| operation.get("responses").is_some())
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
        .collect()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                found.insert(name.to_owned());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_is_summed_up_has_a_name_of_its_own_and_says_how_it_fails() {
    let document = document();
    let mut names = BTreeSet::new();
    for (place, operation) in operations(&document) {
        let name = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{place}"));
        assert!(names.insert(name.to_owned()), "{place}: {name} is there twice");
        assert!(operation["summary"].is_string(), "{place}");
        assert!(operation["responses"]["default"].is_object(), "{place}");
    }
}

#[test]
fn every_operation_says_which_right_it_needs() {
    let document = document();
    let operations = operations(&document);
    let security = |place: &str| {
        let found = operations.iter().find(|(other, _)| other == place);
        found.unwrap_or_else(|| panic!("{place}")).1["security"].clone()
    };
    assert_eq!(security("get /health"), json!([]));
    assert_eq!(
        security("get /metrics"),
        json!([{"bearer": ["models"]}, {"x_api_key": ["models"]}])
    );
    assert_eq!(security("post /v1/chat/completions")[0]["bearer"][0], "inference");
    for (place, operation) in &operations {
        assert!(operation["security"].is_array(), "{place}");
    }
}
