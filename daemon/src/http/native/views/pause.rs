//! A pause as JSON.

use airunner_core::pause::Pause;
use serde::Serialize;
use utoipa::ToSchema;

use super::moment;

/// Nothing is loaded or run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct PauseBody {
    since: String,
    /// When it ends by itself; null: only `resume` ends it.
    until: Option<String>,
}

impl From<Pause> for PauseBody {
    fn from(pause: Pause) -> Self {
        Self {
            since: moment(pause.since),
            until: pause.until.map(moment),
        }
    }
}
