//! The bill of materials of this checkout.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::package;

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} of {value}"))
}

#[test]
fn everything_that_is_linked_or_shipped_is_listed_with_its_licence() {
    let package = package("sbom");
    let bill: Value = serde_json::from_slice(&std::fs::read(&package.path).unwrap()).unwrap();
    assert_eq!(bill["specVersion"], "1.6");
    let components = bill["components"].as_array().unwrap();
    let names: BTreeSet<&str> = components.iter().map(|one| text(one, "name")).collect();
    for wanted in [
        "airunner-daemon",
        "builtin/helper",
        "onnxruntime",
        "ort",
        "sqlite",
        "tokio",
        "tonic",
    ] {
        assert!(names.contains(wanted), "{wanted} in {names:?}");
    }
    // Procedural macros and what only tests use do not get into a program.
    for absent in ["airunner-tests", "proptest", "serde_derive", "tokio-macros"] {
        assert!(!names.contains(absent), "{absent}");
    }
    let mut references = BTreeSet::new();
    for component in components {
        assert!(references.insert(text(component, "bom-ref")), "{component}");
        let licences = component["licenses"].as_array().unwrap();
        assert_eq!(licences.len(), 1, "{component}");
        let foreign = component["purl"].is_string();
        let from_registry = foreign && text(component, "purl").starts_with("pkg:cargo/");
        assert!(!from_registry || component["hashes"].is_array(), "{component}");
    }
    for dependency in bill["dependencies"].as_array().unwrap() {
        for used in dependency["dependsOn"].as_array().unwrap() {
            assert!(references.contains(used.as_str().unwrap()), "{dependency}");
        }
    }
}
