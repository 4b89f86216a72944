//! Installed models.

use airunner_core::model::{Model, ModelDetails};
use serde::Serialize;

use crate::table::{Align, Table};
use crate::units;

/// A row of `airunner models`.
#[derive(Debug, Serialize)]
pub(crate) struct ModelRow {
    name: String,
    kind: &'static str,
    state: &'static str,
    size_bytes: u64,
    source: String,
    waiting_requests: u32,
    last_unload_reason: Option<String>,
}

impl From<&Model> for ModelRow {
    fn from(model: &Model) -> Self {
        Self {
            name: model.name.to_string(),
            kind: model.kind.as_str(),
            state: model.state.as_str(),
            size_bytes: model.size_bytes,
            source: model.source.to_string(),
            waiting_requests: model.waiting_requests,
            last_unload_reason: model.last_unload_reason.as_ref().map(ToString::to_string),
        }
    }
}

pub(crate) fn model_rows(models: &[Model]) -> Vec<ModelRow> {
    models.iter().map(Into::into).collect()
}

pub(crate) fn models_table(models: &[Model]) -> Table {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("KIND", Align::Left),
        ("STATE", Align::Left),
        ("SIZE", Align::Right),
        ("SOURCE", Align::Left),
    ]);
    for model in models {
        table.row([
            model.name.to_string(),
            model.kind.to_string(),
            model.state.to_string(),
            units::size(model.size_bytes),
            model.source.to_string(),
        ]);
    }
    table
}

/// `airunner models show`.
#[derive(Debug, Serialize)]
pub(crate) struct DetailsView<'a> {
    #[serde(flatten)]
    model: ModelRow,
    format: &'static str,
    architecture: &'a str,
    context_length: Option<u32>,
    variants: &'a [String],
    directory: &'a str,
    files: Vec<FileRow<'a>>,
    chat_template: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct FileRow<'a> {
    path: &'a str,
    size_bytes: u64,
    sha256: Option<&'a str>,
}

impl<'a> From<&'a ModelDetails> for DetailsView<'a> {
    fn from(details: &'a ModelDetails) -> Self {
        let files = details.files.iter().map(|file| FileRow {
            path: &file.path,
            size_bytes: file.size_bytes,
            sha256: file.sha256.as_deref(),
        });
        Self {
            model: (&details.model).into(),
            format: details.format.as_str(),
            architecture: &details.architecture,
            context_length: details.context_length,
            variants: &details.variants,
            directory: &details.directory,
            files: files.collect(),
            chat_template: details.chat_template.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use airunner_core::lifecycle::StateName;
    use serde_json::json;

    use super::super::samples::{model, value};
    use super::*;

    #[test]
    fn models_have_the_fields_of_the_contract() {
        let rows = value(&model_rows(&[model(StateName::Unloaded, None)]));
        let row = json!({
            "name": "tiny", "kind": "llm", "state": "UNLOADED", "size_bytes": 1 << 20, "source": "import:tiny",
            "waiting_requests": 0, "last_unload_reason": null
        });
        assert_eq!(rows, json!([row]));
    }
}
