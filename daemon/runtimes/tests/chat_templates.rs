//! Chat templates render what Hugging Face transformers renders, byte by byte.
//!
//! Templates that are not ours to commit are looked for beside the checkout and skipped, loudly,
//! where they are absent.
#![expect(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use airunner_runtimes::llm::text::{ChatTemplate, SpecialTokens, TemplateError};
use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn text<'json>(value: &'json Value, name: &str) -> &'json str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} is missing"))
}

/// The template's source, if it is here.
fn source(golden: &Value) -> Option<String> {
    let name = text(golden, "template");
    let committed = golden["committed"].as_bool().unwrap();
    let folder = if committed {
        "tests/testdata/chat-templates"
    } else {
        "../shared/testdata/chat-templates"
    };
    let found = fs::read_to_string(repository().join(folder).join(name));
    assert!(found.is_ok() || !committed, "{name} is missing");
    found.ok()
}

fn clock(golden: &Value) -> Zoned {
    let now: DateTime = text(golden, "now").parse().unwrap();
    now.to_zoned(TimeZone::UTC).unwrap()
}

/// What differs, in words.
fn compare(case: &Value, rendered: Result<String, TemplateError>) -> Option<String> {
    match (case["rendered"].as_str(), rendered) {
        (Some(expected), Ok(found)) if expected == found => None,
        (Some(expected), Ok(found)) => {
            let same = expected
                .bytes()
                .zip(found.bytes())
                .take_while(|(left, right)| left == right)
                .count();
            let from = expected.floor_char_boundary(same.saturating_sub(40));
            Some(format!(
                "expected ..{:?}\n     found ..{:?}",
                &expected[from..],
                found.get(from..)
            ))
        }
        (Some(_), Err(error)) => Some(format!("refused: {error:?}")),
        // Where Python itself stumbles, say over a loop through none, being lenient is no fault.
        (None, Ok(_)) if case["raised_by_template"] != true => None,
        (None, Ok(found)) => Some(format!("must fail with {}, but gave {found:?}", case["error"])),
        (None, Err(TemplateError::Refused(message))) if case["raised_by_template"] == true => {
            (Some(message.as_str()) != case["error"].as_str())
                .then(|| format!("{} but {message:?}", case["error"]))
        }
        (None, Err(error)) => {
            (case["raised_by_template"] == true).then(|| format!("{} but {error:?}", case["error"]))
        }
    }
}

fn check(golden: &Value, contexts: &Value, source: &str) -> Vec<String> {
    let name = text(golden, "template");
    let template = match ChatTemplate::compile(source, &SpecialTokens::default()) {
        Ok(template) => template,
        Err(error) => return vec![format!("{name}: {error:?}")],
    };
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let context = text(case, "context");
        let mut variables: Map<String, Value> = contexts[context].as_object().unwrap().clone();
        for token in ["bos_token", "eos_token"] {
            variables.insert(token.to_owned(), golden[token].clone());
        }
        for message in variables["messages"].as_array_mut().unwrap() {
            // transformers passes the reasoning under this name as well.
            if let Some(reasoning) = message.get("reasoning_content").cloned() {
                message["thinking"] = reasoning;
            }
        }
        let rendered = template.render_variables(&variables, &clock(golden));
        wrong.extend(compare(case, rendered).map(|difference| format!("{name}, {context}: {difference}")));
    }
    wrong
}

#[test]
fn templates_render_as_in_transformers() {
    let folder = repository().join("tests/testdata/chat-templates");
    let contexts = json(&folder.join("contexts.json"));
    let (mut checked, mut wrong) = (0, Vec::new());
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join("golden"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let golden = json(&file);
        match source(&golden) {
            Some(source) => {
                wrong.extend(check(&golden, &contexts, &source));
                checked += golden["cases"].as_array().unwrap().len();
            }
            None => eprintln!(
                "SKIPPED: {} is not beside this checkout",
                text(&golden, "template")
            ),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {checked} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(checked >= 6 * 20, "only {checked} cases");
}
