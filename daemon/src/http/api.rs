//! What handlers call.

use std::time::Duration;

use airunner_core::{ErrorKind, Fault, ModelName};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::config::HttpSettings;
use crate::conversations::Conversations;
use crate::downloads::Downloads;
use crate::hardware::Hardware;
use crate::inference::Inference;
use crate::jobs::Jobs;
use crate::keys::Keys;
use crate::models::Models;
use crate::notifications::Notifications;
use crate::pause::Pausing;
use crate::quantize::Quantizer;
use crate::responses::Responses;
use crate::settings::Handle;
use crate::shutdown::Ending;
use crate::traces::Tracer;
use crate::usage::Usage;

/// The handles of all domains, and what every request is held to.
#[derive(Clone)]
pub struct Api {
    pub started: Instant,
    pub catalog: Catalog,
    pub conversations: Conversations,
    pub downloads: Downloads,
    pub hardware: Hardware,
    pub inference: Inference,
    pub jobs: Jobs,
    pub keys: Keys,
    pub models: Models,
    pub pausing: Pausing,
    pub notifications: Notifications,
    pub quantizer: Quantizer,
    pub responses: Responses,
    pub settings: Handle,
    pub tracer: Tracer,
    pub usage: Usage,
    pub ending: Ending,
    /// They can change from one request to the next.
    pub limits: watch::Receiver<Limits>,
}

/// What a request may be at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its body.
    pub body_bytes: usize,
    /// For all of its body to arrive.
    pub body_time: Duration,
    /// Bytes of a file that is sent.
    pub upload_bytes: u64,
}

impl From<&HttpSettings> for Limits {
    fn from(settings: &HttpSettings) -> Self {
        Self {
            body_bytes: settings.body_bytes,
            body_time: settings.body_time,
            upload_bytes: settings.upload_bytes,
        }
    }
}

/// What clients write behind a name that has no tag.
const USUAL_TAG: &str = ":latest";

/// The model a client means. A text that is no name of a model is the name of none.
pub(super) fn model_name(text: &str) -> Result<ModelName, Fault> {
    let name = text.strip_suffix(USUAL_TAG).unwrap_or(text);
    if name.is_empty() {
        return Err(Fault::invalid("model is empty: name an installed model"));
    }
    ModelName::new(name).map_err(|_| {
        let shown: String = text.chars().take(128).collect();
        Fault::new(
            ErrorKind::ModelNotFound,
            format!("no model is called {shown:?}: see the list of models"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_tag_is_left_out_and_an_impossible_name_is_no_model() {
        assert_eq!(model_name("tiny:latest").unwrap().as_str(), "tiny");
        assert_eq!(model_name("a/b").unwrap().as_str(), "a/b");
        for (text, kind) in [
            ("", ErrorKind::InvalidArgument),
            (":latest", ErrorKind::InvalidArgument),
            ("../etc/passwd", ErrorKind::ModelNotFound),
            ("tiny:7b", ErrorKind::ModelNotFound),
        ] {
            assert_eq!(model_name(text).unwrap_err().kind, kind, "{text}");
        }
    }
}
