//! Jobs.

use airunner_core::job::Job;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Problem, moment};

/// Work that takes longer than a request should.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct JobBody {
    id: String,
    /// `pull`, `verify` or `import`.
    kind: String,
    /// `pending`, `running`, `completed`, `failed` or `cancelled`.
    state: &'static str,
    /// 0 to 1.
    progress: f64,
    /// What was asked for.
    #[schema(value_type = Object)]
    request: Value,
    /// What came of it, or what is known already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
    created_at: String,
    updated_at: String,
    /// When it is forgotten, once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl From<Job> for JobBody {
    fn from(job: Job) -> Self {
        Self {
            id: job.id.0,
            kind: job.kind,
            state: job.state.as_str(),
            progress: job.progress,
            request: job.request,
            result: job.result,
            error: job.fault.map(Problem::from),
            created_at: moment(job.created_at),
            updated_at: moment(job.updated_at),
            expires_at: job.expires_at.map(moment),
        }
    }
}
