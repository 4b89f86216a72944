//! What the daemon says about itself.

use std::time::Duration;

use crate::activity::Activity;
use crate::model::Model;
use crate::pause::Pause;

/// The daemon's answer to a client's first call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// See [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION).
    pub protocol_version: u32,
    pub daemon_version: String,
    pub pid: u32,
}

/// What `airunner status` shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DaemonStatus {
    pub pid: u32,
    pub daemon_version: String,
    pub protocol_version: u32,
    /// Path of the socket, or name of the pipe, that clients connect to.
    pub socket: String,
    pub uptime: Duration,
    /// Resident memory of the daemon process, bytes; workers are counted with their models.
    pub memory_bytes: u64,
    pub models: Vec<Model>,
    /// True from the moment a shutdown was asked for.
    pub shutting_down: bool,
    /// The ONNX Runtime library workers will load; `None` if none was found.
    pub onnxruntime_library: Option<String>,
    pub http: HttpStatus,
    /// Where traces of requests are sent; `None`: nowhere.
    pub traces: Option<String>,
    /// Why nothing is loaded or run, if that is so.
    pub paused: Option<Pause>,
    /// What is worked on besides models and downloads.
    pub activities: Vec<Activity>,
}

impl DaemonStatus {
    /// In what the daemon differs from a program of that version beside which it is installed;
    /// `replaced`: another file has taken the place of the one it runs. A restart makes it the
    /// installed one.
    #[must_use]
    pub fn difference(&self, version: &str, replaced: bool) -> Option<String> {
        if self.daemon_version != version {
            let daemon = &self.daemon_version;
            Some(format!("the daemon is {daemon} and this program {version}"))
        } else if replaced {
            Some("the daemon that runs is the one from before an upgrade".to_owned())
        } else {
            None
        }
    }
}

/// The HTTP API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpStatus {
    /// Where it answers; none if it is switched off or cannot be served.
    pub urls: Vec<String>,
    /// Anybody on this machine may call it without a key.
    pub open: bool,
    /// Why it is not served as the settings say.
    pub problem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_differs_by_its_version_or_by_its_file() {
        let status = DaemonStatus {
            daemon_version: "0.2.0".to_owned(),
            ..DaemonStatus::default()
        };
        assert_eq!(status.difference("0.2.0", false), None);
        for (version, replaced, words) in [
            ("0.2.0", true, "from before an upgrade"),
            ("0.1.0", false, "the daemon is 0.2.0 and this program 0.1.0"),
            ("0.3.0", true, "the daemon is 0.2.0 and this program 0.3.0"),
        ] {
            let difference = status.difference(version, replaced).unwrap();
            assert!(difference.contains(words), "{difference}");
        }
    }
}
