//! Work that takes longer than a request should: begun, followed, ended, kept for a while.

use std::fmt;
use std::time::SystemTime;

use serde_json::Value;

use crate::access::KeyId;
use crate::error::Fault;

/// Names a job: `job_` and 24 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub String);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Others are before it.
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl JobState {
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Nothing more happens to it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// A job, as those see it who may.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: JobId,
    /// `None`: the user of this machine.
    pub owner: Option<KeyId>,
    /// What kind of work it is, such as `pull`.
    pub kind: String,
    pub state: JobState,
    /// What was asked for.
    pub request: Value,
    /// What came of it; before the end, what is known already.
    pub result: Option<Value>,
    /// 0 to 1.
    pub progress: f64,
    /// Why it failed or was cancelled.
    pub fault: Option<Fault>,
    pub created_at: SystemTime,
    pub updated_at: SystemTime,
    /// When it is forgotten; `None` until it is over.
    pub expires_at: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_back_from_its_text() {
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
        }
        assert_eq!(JobState::parse("stuck"), None);
    }
}
