//! The bill of materials: CycloneDX 1.6 as JSON, alike for the same commit and platform.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::licences::{Crate, Key};
use super::materials::Materials;
use crate::wheel;

/// Refers to the whole.
const PRODUCT: &str = "airunner";

pub(super) fn make(materials: &Materials, output: &Path) -> anyhow::Result<PathBuf> {
    let release = &materials.release;
    let platform = release.platform;
    let name = format!(
        "airunner-{}-{}-{}.cdx.json",
        release.upstream(),
        platform.system,
        platform.processor
    );
    let path = output.join(name);
    let mut text = serde_json::to_string_pretty(&bill(materials)?)?;
    text.push('\n');
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The document; its serial number is made of all the rest.
fn bill(materials: &Materials) -> anyhow::Result<Value> {
    let release = &materials.release;
    let mut components: Vec<Value> = materials.crates.iter().map(of_crate).collect();
    components.push(of_library(materials));
    components.extend(materials.crates.iter().filter_map(of_sqlite));
    components.extend(of_models(materials)?);
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": release.date("%Y-%m-%dT%H:%M:%SZ")?,
            "component": {
                "type": "application",
                "bom-ref": PRODUCT,
                "name": PRODUCT,
                "version": release.upstream(),
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "properties": [
                    { "name": "airunner:system", "value": release.platform.system },
                    { "name": "airunner:processor", "value": release.platform.processor },
                ],
            },
        },
        "components": components,
        "dependencies": dependencies(materials),
    });
    document["serialNumber"] = format!("urn:uuid:{}", uuid_of(&document.to_string())).into();
    Ok(document)
}

/// How a crate is referred to, which is its address at the registry too.
fn reference((name, version): &Key) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

fn of_crate(one: &Crate) -> Value {
    let mut component = Map::new();
    let mut set = |name: &str, value: Value| component.insert(name.to_owned(), value);
    set("type", "library".into());
    set("bom-ref", reference(&one.key()).into());
    set("name", one.name.clone().into());
    set("version", one.version.clone().into());
    set("licenses", json!([{ "expression": one.licence }]));
    if !one.ours {
        set("purl", reference(&one.key()).into());
    }
    if let Some(sha256) = &one.sha256 {
        set("hashes", json!([{ "alg": "SHA-256", "content": sha256 }]));
    }
    if let Some(place) = &one.repository {
        set("externalReferences", json!([{ "type": "vcs", "url": place }]));
    }
    Value::Object(component)
}

fn library_reference(materials: &Materials) -> String {
    format!("pkg:pypi/onnxruntime@{}", materials.library.version)
}

fn of_library(materials: &Materials) -> Value {
    let library = &materials.library;
    json!({
        "type": "library",
        "bom-ref": library_reference(materials),
        "name": "onnxruntime",
        "version": library.version,
        "licenses": [{ "license": { "id": "MIT" } }],
        "purl": library_reference(materials),
        "hashes": [{ "alg": "SHA-256", "content": library.sha256 }],
        "properties": [{ "name": "airunner:file", "value": format!("lib/airunner/{}", library.name) }],
    })
}

fn sqlite_reference(version: &str) -> String {
    format!("pkg:generic/sqlite@{version}")
}

fn of_sqlite(one: &Crate) -> Option<Value> {
    let version = one.sqlite.as_ref()?;
    Some(json!({
        "type": "library",
        "bom-ref": sqlite_reference(version),
        "name": "sqlite",
        "version": version,
        "licenses": [{ "license": { "id": "blessing" } }],
        "purl": sqlite_reference(version),
    }))
}

/// The built-in models are known by their weights.
fn weights(materials: &Materials) -> impl Iterator<Item = &(String, PathBuf)> {
    materials
        .models
        .iter()
        .filter(|(name, _)| name.ends_with(".onnx"))
}

fn model_reference(weights: &str) -> String {
    format!("model:builtin/{weights}")
}

fn of_models(materials: &Materials) -> anyhow::Result<Vec<Value>> {
    weights(materials)
        .map(|(name, path)| {
            let sha256 = wheel::sha256_of(path)?;
            let model = name.split('/').next().unwrap_or(name);
            Ok(json!({
                "type": "machine-learning-model",
                "bom-ref": model_reference(name),
                "name": format!("builtin/{model}"),
                "version": materials.release.upstream(),
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "hashes": [{ "alg": "SHA-256", "content": sha256 }],
            }))
        })
        .collect()
}

/// Who uses what; the product uses our own crates that nobody else of the list uses, the library
/// that is loaded, and the models.
fn dependencies(materials: &Materials) -> Vec<Value> {
    let used: Vec<&Key> = materials.crates.iter().flat_map(|one| &one.uses).collect();
    let mut roots: Vec<String> = materials
        .crates
        .iter()
        .filter(|one| one.ours && !used.contains(&&one.key()))
        .map(|one| reference(&one.key()))
        .collect();
    roots.push(library_reference(materials));
    roots.extend(weights(materials).map(|(name, _)| model_reference(name)));
    let mut dependencies = vec![json!({ "ref": PRODUCT, "dependsOn": roots })];
    for one in &materials.crates {
        let mut uses: Vec<String> = one.uses.iter().map(reference).collect();
        uses.extend(one.sqlite.as_deref().map(sqlite_reference));
        dependencies.push(json!({ "ref": reference(&one.key()), "dependsOn": uses }));
    }
    dependencies
}

/// A UUID of version 8 (its bits are the maker's own) from the sha256 of a text.
fn uuid_of(text: &str) -> String {
    let mut bytes: [u8; 16] = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::materials::sample;
    use super::*;

    /// With a model that is there.
    fn bill_of(version: &str) -> Value {
        let directory = tempfile::tempdir().unwrap();
        let weights = directory.path().join("model.onnx");
        fs::write(&weights, "weights").unwrap();
        let mut materials = sample();
        materials.release.version = version.to_owned();
        materials.models = vec![("helper/onnx/model.onnx".to_owned(), weights)];
        bill(&materials).unwrap()
    }

    fn bill_of_sample() -> Value {
        bill_of("1.2.3")
    }

    fn text<'a>(value: &'a Value, field: &str) -> &'a str {
        value[field]
            .as_str()
            .unwrap_or_else(|| panic!("{field} of {value}"))
    }

    #[test]
    fn every_component_has_what_the_format_asks_for() {
        let bill = bill_of_sample();
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(
            text(&bill["metadata"], "timestamp").len(),
            "2026-01-01T00:00:00Z".len()
        );
        for component in bill["components"].as_array().unwrap() {
            for field in ["type", "bom-ref", "name", "version"] {
                assert!(!text(component, field).is_empty(), "{component}");
            }
            assert_eq!(component["licenses"].as_array().unwrap().len(), 1, "{component}");
            for hash in component["hashes"].as_array().into_iter().flatten() {
                assert_eq!(text(hash, "alg"), "SHA-256");
                assert_eq!(text(hash, "content").len(), 64);
            }
        }
    }

    #[test]
    fn references_are_unique_and_lead_somewhere() {
        let bill = bill_of_sample();
        let components = bill["components"].as_array().unwrap();
        let mut known: BTreeSet<&str> = components.iter().map(|one| text(one, "bom-ref")).collect();
        assert_eq!(known.len(), components.len());
        known.insert(text(&bill["metadata"]["component"], "bom-ref"));
        let mut reached = BTreeSet::new();
        for dependency in bill["dependencies"].as_array().unwrap() {
            assert!(known.contains(text(dependency, "ref")), "{dependency}");
            for used in dependency["dependsOn"].as_array().unwrap() {
                assert!(known.contains(used.as_str().unwrap()), "{dependency}");
                reached.insert(used.as_str().unwrap());
            }
        }
        known.remove(PRODUCT);
        assert_eq!(reached, known, "something is in the list and used by nothing");
    }

    #[test]
    fn the_serial_number_is_that_of_the_content() {
        let (one, same) = (bill_of_sample(), bill_of_sample());
        assert_eq!(one, same);
        let other = bill_of("1.2.4");
        assert_ne!(one["serialNumber"], other["serialNumber"]);
        let serial = text(&one, "serialNumber");
        assert_eq!(serial.len(), "urn:uuid:".len() + 36, "{serial}");
        assert_eq!(
            serial.split('-').map(str::len).collect::<Vec<_>>(),
            [17, 4, 4, 4, 12]
        );
    }

    #[test]
    fn a_version_with_metadata_is_escaped_in_its_address() {
        let key = ("libbz2".to_owned(), "0.1.0+1.0.8".to_owned());
        assert_eq!(reference(&key), "pkg:cargo/libbz2@0.1.0%2B1.0.8");
    }
}
