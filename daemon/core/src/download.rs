//! Fetching models from a hub.

use std::time::{Duration, SystemTime};

use crate::error::Fault;
use crate::memory::Quantization;
use crate::model::Model;
use crate::name::ModelName;

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// A repository of the hub such as `onnx-community/Qwen2.5-0.5B-Instruct`, or a name or alias
    /// of the catalogue.
    pub source: String,
    /// Branch, tag or commit; `None`: the catalogue's, or else `main`.
    pub revision: Option<String>,
    /// How to call the model here; `None`: as the hub does.
    pub name: Option<ModelName>,
    /// Which precision; `None`: the best that this machine can load.
    pub level: Option<Quantization>,
}

/// Numbers a download for its whole life, also across restarts of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DownloadId(pub u64);

/// One fetch: it belongs to the daemon, not to who asked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Download {
    pub id: DownloadId,
    /// The model it becomes.
    pub name: ModelName,
    pub repository: String,
    /// The commit once it is known, before that what was asked for.
    pub revision: String,
    pub level: Option<Quantization>,
    pub state: DownloadState,
    pub done_bytes: u64,
    /// 0 until the hub has said.
    pub total_bytes: u64,
    /// Over the last seconds; 0 unless running.
    pub bytes_per_second: u64,
    /// What is being done, for a person: the file under way.
    pub file: String,
    /// Why it failed, or why it waits to try again.
    pub fault: Option<Fault>,
    pub started_at: SystemTime,
}

impl Download {
    /// Time to go at this speed; `None` if that cannot be said.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.total_bytes.checked_sub(self.done_bytes)?;
        let seconds = left.checked_div(self.bytes_per_second)?;
        (self.total_bytes > 0).then_some(Duration::from_secs(seconds))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DownloadState {
    /// Others are before it.
    Queued,
    /// The hub is asked what there is.
    Resolving,
    Running,
    /// Everything is here and is checked.
    Verifying,
    /// It becomes a model of the store.
    Publishing,
    /// Somebody stopped it; it can go on.
    Paused,
    /// It waits a while after a failure and then tries again by itself.
    Waiting,
    /// It will not go on by itself.
    Failed,
    Cancelled,
    Done,
}

impl DownloadState {
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Resolving,
        Self::Running,
        Self::Verifying,
        Self::Publishing,
        Self::Paused,
        Self::Waiting,
        Self::Failed,
        Self::Cancelled,
        Self::Done,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Resolving => "resolving",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::Publishing => "publishing",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// True if nothing more happens unless somebody asks for it.
    #[must_use]
    pub const fn is_at_rest(self) -> bool {
        matches!(self, Self::Paused | Self::Failed | Self::Cancelled | Self::Done)
    }
}

/// One message of a pull's stream; [`Installed`](Self::Installed) is the last. The stream ends
/// with an error if the download comes to rest in any other way.
#[derive(Clone, Debug, PartialEq)]
pub enum PullEvent {
    Progress(Box<Download>),
    Installed(Box<Model>),
}

/// Which model to check against what was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyRequest {
    pub name: ModelName,
    /// Fetch what is bad again from where it came from.
    pub repair: bool,
}

/// One message of the check, or of the repair, of an installed model.
#[derive(Clone, Debug, PartialEq)]
pub enum VerifyEvent {
    Progress {
        /// The file being read, relative to the package.
        file: String,
        done_bytes: u64,
        total_bytes: u64,
    },
    /// The last: what is wrong, or was wrong before the repair; empty if all is well.
    Finished(Vec<FileProblem>),
}

/// A file that is not as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// Relative to the package.
    pub path: String,
    /// For a person: `missing`, `has 10 bytes instead of 12`, `has other contents`.
    pub problem: String,
    /// True if a repair fetched it again.
    pub repaired: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_back_from_its_text() {
        for state in DownloadState::ALL {
            assert_eq!(DownloadState::parse(state.as_str()), Some(state));
        }
        assert_eq!(DownloadState::parse("stuck"), None);
    }
}
