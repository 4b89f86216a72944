//! What both sides of a WebSocket say.

use airunner_core::Fault;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::http::native::chat::{ChatRequest, Said};
use crate::http::payload::decode;

/// Longest name of a request, bytes.
const MAX_ID_BYTES: usize = 128;

/// What a client says.
pub(super) enum Asked {
    Chat {
        id: String,
        request: Box<ChatRequest>,
        /// It goes on from what was said before on this socket.
        goes_on: bool,
    },
    Cancel {
        id: String,
    },
}

/// What is said to a client.
#[derive(Serialize)]
pub(super) struct Frame<'a> {
    /// Which request it belongs to; `None`: none, because none could be made out.
    id: Option<&'a str>,
    #[serde(flatten)]
    said: &'a Said,
}

impl<'a> Frame<'a> {
    pub(super) const fn new(id: Option<&'a str>, said: &'a Said) -> Self {
        Self { id, said }
    }
}

/// What could not be understood, and of which request it was, if that could be.
pub(super) struct Misunderstood {
    pub(super) id: Option<String>,
    pub(super) fault: Fault,
}

impl From<Fault> for Misunderstood {
    fn from(fault: Fault) -> Self {
        Self { id: None, fault }
    }
}

/// Reads a message.
pub(super) fn read(text: &str) -> Result<Asked, Misunderstood> {
    let mut fields: Map<String, Value> = decode(text.as_bytes())?;
    let id = id(&mut fields)?;
    let kind = fields.remove("type");
    match kind.as_ref().and_then(Value::as_str) {
        Some("chat") => chat(&id, fields).map_err(|fault| Misunderstood { id: Some(id), fault }),
        Some("cancel") if fields.is_empty() => Ok(Asked::Cancel { id }),
        Some("cancel") => Err(Fault::invalid("cancel has only an id").into()),
        Some(_) | None => Err(Fault::invalid("type must be chat or cancel")
            .figure("param", "type")
            .into()),
    }
}

fn id(fields: &mut Map<String, Value>) -> Result<String, Fault> {
    match fields.remove("id") {
        Some(Value::String(id)) if !id.is_empty() && id.len() <= MAX_ID_BYTES => Ok(id),
        Some(_) | None => Err(Fault::invalid(format!(
            "id must be a text of 1 to {MAX_ID_BYTES} bytes: every request has one of its own"
        ))
        .figure("param", "id")),
    }
}

fn chat(id: &str, mut fields: Map<String, Value>) -> Result<Asked, Fault> {
    let message = fields.remove("message");
    let goes_on = message.is_some() && !fields.contains_key("conversation_id");
    if let Some(message) = message {
        if fields.contains_key("messages") {
            return Err(Fault::invalid("send either message or messages").figure("param", "message"));
        }
        if !message.is_string() {
            return Err(Fault::invalid("message must be a text").figure("param", "message"));
        }
        let message = serde_json::json!([{"role": "user", "content": message}]);
        fields.insert("messages".to_owned(), message);
    }
    let request = decode(Value::Object(fields).to_string().as_bytes())?;
    Ok(Asked::Chat {
        id: id.to_owned(),
        request: Box::new(request),
        goes_on,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_say() {
        let Ok(Asked::Chat { id, goes_on, .. }) = read(r#"{"type": "chat", "id": "1", "message": "Hi"}"#)
        else {
            panic!("a chat");
        };
        assert_eq!((id.as_str(), goes_on), ("1", true));
        let with = r#"{"type": "chat", "id": "1", "message": "Hi", "conversation_id": "c"}"#;
        assert!(matches!(read(with), Ok(Asked::Chat { goes_on: false, .. })));
        assert!(matches!(
            read(r#"{"type": "cancel", "id": "1"}"#),
            Ok(Asked::Cancel { .. })
        ));
    }

    #[test]
    fn says_what_it_does_not_understand_and_of_which_request() {
        let long = format!(r#"{{"type": "cancel", "id": "{}"}}"#, "x".repeat(200));
        let nested = format!(r#"{{"id": "1", "type": {}"#, "[".repeat(100_000));
        for (text, id) in [
            ("", None),
            ("nonsense", None),
            ("[]", None),
            (r#"{"type": "chat"}"#, None),
            (r#"{"type": "chat", "id": 7}"#, None),
            (&long, None),
            (&nested, None),
            (r#"{"type": "dance", "id": "1"}"#, None),
            (r#"{"type": "cancel", "id": "1", "now": true}"#, None),
            (r#"{"type": "chat", "id": "1", "message": 7}"#, Some("1")),
            (
                r#"{"type": "chat", "id": "1", "message": "a", "messages": []}"#,
                Some("1"),
            ),
            (
                r#"{"type": "chat", "id": "1", "messages": [], "temprature": 1}"#,
                Some("1"),
            ),
        ] {
            let Err(misunderstood) = read(text) else {
                panic!("{text}");
            };
            assert_eq!(misunderstood.id.as_deref(), id, "{text}");
        }
    }
}
