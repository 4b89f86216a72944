//! The bodies of errors, as `family` writes them.

use serde_json::{Value, json};

use crate::http::family::Family;

/// The name and the schema of the family's errors.
pub(super) fn schema(family: Family) -> (&'static str, Value) {
    match family {
        Family::Native => ("Error", native()),
        Family::OpenAi => ("OpenAiError", openai()),
        Family::Ollama => ("OllamaError", ollama()),
        Family::Anthropic => ("AnthropicError", anthropic()),
    }
}

fn native() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["reason", "message"],
            "properties": {
                "reason": {"type": "string", "description": "Which kind of thing went wrong, for programs. docs/protocol.md lists them."},
                "message": {"type": "string", "description": "What went wrong and what to do, for people."},
                "retry_after_ms": {"type": "integer", "minimum": 0, "description": "When it may be worth trying again."},
                "figures": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        }},
    })
}

fn openai() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The field that is wrong."},
                "code": {"type": ["string", "null"]},
            },
        }},
    })
}

fn ollama() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
    })
}

fn anthropic() -> Value {
    json!({
        "type": "object",
        "required": ["type", "error"],
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    })
}
