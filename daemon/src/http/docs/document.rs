//! One OpenAPI document out of what each family says of itself.

use axum::http::Method;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::errors;
use crate::http::family::Family;
use crate::http::guard;

const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];
const SCHEMAS: &str = "#/components/schemas/";
/// The tag of our own probes.
const PROBES: &str = "health";

/// Grows by one family after the other.
pub(in crate::http) struct Document {
    tags: Vec<Value>,
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Document {
    pub(in crate::http) fn new() -> Self {
        Self {
            tags: Vec::new(),
            paths: Map::new(),
            schemas: Map::new(),
        }
    }

    /// Adds what a family has. Its schemas get its name in front, so that two families may call
    /// different things the same.
    pub(in crate::http) fn add(&mut self, family: Family, described: &OpenApi) {
        // A description is plain data, which always becomes JSON.
        let mut described = serde_json::to_value(described).unwrap_or_default();
        rename_references(&mut described, family);
        if let Some(Value::Object(schemas)) = described.pointer_mut("/components/schemas").map(Value::take) {
            for (name, schema) in schemas {
                self.schemas.insert(schema_name(family, &name), schema);
            }
        }
        let (name, error) = errors::schema(family);
        self.schemas.insert(name.to_owned(), error);
        if let Some(Value::Object(paths)) = described.get_mut("paths").map(Value::take) {
            for (path, item) in paths {
                self.add_path(family, path, item);
            }
        }
    }

    fn add_path(&mut self, family: Family, path: String, mut item: Value) {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                complete(operation, family, method, &path);
                self.add_tag(family, operation);
            }
        }
        match (self.paths.get_mut(&path), item) {
            (Some(Value::Object(present)), Value::Object(item)) => present.extend(item),
            (_, item) => {
                self.paths.insert(path, item);
            }
        }
    }

    fn add_tag(&mut self, family: Family, operation: &Value) {
        let Some(tag) = operation["tags"][0].as_str() else {
            return;
        };
        if self.tags.iter().all(|known| known["name"] != tag) {
            let tag = match about(family, tag) {
                Some(about) => json!({"name": tag, "description": about}),
                None => json!({"name": tag}),
            };
            self.tags.push(tag);
        }
    }

    /// The whole document.
    pub(in crate::http) fn finish(self) -> Value {
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "AI Runner",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Local AI models for every program on this machine, in four languages: the own one, \
                    and those of OpenAI, Ollama and Anthropic, so that existing clients work unchanged.",
                "license": {"name": "MIT OR Apache-2.0"},
            },
            "servers": [{"url": "/", "description": "Where this document comes from"}],
            "security": [{"bearer": []}, {"x_api_key": []}],
            "tags": self.tags,
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "securitySchemes": {
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "The token that `airunner keys token` prints, or a key.",
                    },
                    "x_api_key": {
                        "type": "apiKey",
                        "in": "header",
                        "name": "x-api-key",
                        "description": "The same, as clients of Anthropic send it.",
                    },
                },
            },
        })
    }
}

/// What every operation of a family has in common.
fn complete(operation: &mut Value, family: Family, method: &str, path: &str) {
    let own_tag = operation["tags"][0].as_str().map(str::to_owned);
    let tag = match (family, own_tag) {
        (Family::Native, Some(tag)) => tag,
        (Family::Native | Family::OpenAi | Family::Ollama | Family::Anthropic, _) => tag(family).to_owned(),
    };
    let method_name = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap_or_default();
    operation["security"] = match guard::needed(&method_name, path) {
        None => json!([]),
        Some(scopes) => {
            let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            json!([{"bearer": scopes}, {"x_api_key": scopes}])
        }
    };
    operation["tags"] = json!([tag]);
    if let Some(id) = operation["operationId"].as_str() {
        let method = if method == "head" { "_head" } else { "" };
        operation["operationId"] = json!(format!("{}_{id}{method}", family.as_str()));
    }
    let error = format!("{SCHEMAS}{}", errors::schema(family).0);
    let mut otherwise = json!({"description": "what went wrong"});
    if method != "head" {
        otherwise["content"] = json!({"application/json": {"schema": {"$ref": error}}});
    }
    if operation["responses"].get("default").is_none() {
        operation["responses"]["default"] = otherwise;
    }
}

fn tag(family: Family) -> &'static str {
    match family {
        Family::Native => "AI Runner",
        Family::OpenAi => "OpenAI",
        Family::Ollama => "Ollama",
        Family::Anthropic => "Anthropic",
    }
}

fn about(family: Family, tag: &str) -> Option<&'static str> {
    match family {
        Family::Native if tag == PROBES => Some("Is it there, is it well, which version is it."),
        Family::Native => None,
        Family::OpenAi => Some("What clients of OpenAI speak: their base address ends with `/v1`."),
        Family::Ollama => Some("What clients of Ollama speak: their host is the address without a path."),
        Family::Anthropic => {
            Some("What clients of Anthropic speak: their base address is the one without a path.")
        }
    }
}

fn schema_name(family: Family, name: &str) -> String {
    let prefix = match family {
        Family::Native => "",
        Family::OpenAi => "OpenAi",
        Family::Ollama => "Ollama",
        Family::Anthropic => "Anthropic",
    };
    if name.starts_with(prefix) {
        name.to_owned()
    } else {
        format!("{prefix}{name}")
    }
}

fn rename_references(value: &mut Value, family: Family) {
    match value {
        Value::Object(map) => map
            .values_mut()
            .for_each(|value| rename_references(value, family)),
        Value::Array(list) => list.iter_mut().for_each(|value| rename_references(value, family)),
        // Also in the mapping of a discriminator, which has references as plain texts.
        Value::String(text) => {
            if let Some(name) = text.strip_prefix(SCHEMAS) {
                *text = format!("{SCHEMAS}{}", schema_name(family, name));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
