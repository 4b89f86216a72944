//! What an answer must look like.

use airunner_core::Fault;
use airunner_core::generate::OutputFormat;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::openai::refusal::wrong;

/// Characters of the name of a schema.
const MAX_NAME: usize = 64;

/// The form of the answer. Answers follow it by construction.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ResponseFormat {
    /// `text`, `json_object`, `json_schema` or `regex`.
    r#type: String,
    json_schema: Option<NamedSchema>,
    /// Of `json_object`: also this schema.
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
    /// Of `regex`: the expression, in the syntax of Rust's `regex`.
    value: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct NamedSchema {
    /// Letters, digits, `_` and `-`, at most 64.
    pub(in crate::http::openai) name: String,
    pub(in crate::http::openai) description: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(in crate::http::openai) schema: Option<Value>,
    /// Answers follow the schema either way.
    pub(in crate::http::openai) strict: Option<bool>,
}

impl ResponseFormat {
    pub(super) fn read(self) -> Result<OutputFormat, Fault> {
        let needs = |field: &str| {
            let param = format!("response_format.{field}");
            let message = format!("{param} is missing: this type of response_format has one");
            wrong(param, message)
        };
        match self.r#type.as_str() {
            "text" => Ok(OutputFormat::Text),
            "json_object" => Ok(self
                .schema
                .map_or(OutputFormat::JsonObject, OutputFormat::JsonSchema)),
            "json_schema" => self
                .json_schema
                .ok_or_else(|| needs("json_schema"))?
                .read("response_format.json_schema"),
            "regex" => self.value.map(OutputFormat::Regex).ok_or_else(|| needs("value")),
            _ => Err(wrong(
                "response_format.type",
                "response_format.type must be text, json_object, json_schema or regex",
            )),
        }
    }
}

impl NamedSchema {
    pub(in crate::http::openai) fn read(self, place: &str) -> Result<OutputFormat, Fault> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if self.name.is_empty() || self.name.len() > MAX_NAME || !self.name.chars().all(allowed) {
            return Err(wrong(
                format!("{place}.name"),
                format!("{place}.name must have 1 to {MAX_NAME} letters, digits, '_' or '-'"),
            ));
        }
        match self.schema {
            None | Some(Value::Null) => Ok(OutputFormat::JsonObject),
            Some(schema @ (Value::Object(_) | Value::Bool(_))) => Ok(OutputFormat::JsonSchema(schema)),
            Some(_) => Err(wrong(
                format!("{place}.schema"),
                format!("{place}.schema must be a JSON schema, which is an object"),
            )),
        }
    }
}
