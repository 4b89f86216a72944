//! What the daemon tells the process that quantizes, written and read in one place.

use std::ffi::OsString;
use std::path::PathBuf;

use airunner_core::Fault;
use airunner_platform::ChildLimits;
use serde::{Deserialize, Serialize};

/// The subcommand.
pub const QUANTIZE: &str = "quantize";

/// What to make of what, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantizeArguments {
    pub(super) model: String,
    pub(super) directory: PathBuf,
    pub(super) level: String,
    /// An empty directory.
    pub(super) out: PathBuf,
    /// Whether both models compute a text in the end.
    pub(super) compares: bool,
    /// Holds the text; absent: the program's own.
    pub(super) text: Option<PathBuf>,
    pub(super) onnxruntime_library: Option<PathBuf>,
    pub(super) threads: usize,
    pub(super) address_space: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) log_level: String,
}

impl QuantizeArguments {
    /// The command line.
    pub(super) fn to_line(&self) -> Result<[OsString; 2], Fault> {
        let json = serde_json::to_string(self);
        let json = json.map_err(|_| Fault::invalid("a path of the model cannot be written as text"))?;
        Ok([QUANTIZE.into(), json.into()])
    }

    /// Reads what the daemon wrote, without the subcommand.
    pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Self, Fault> {
        let bad = || {
            Fault::invalid(
                "quantize is not understood: only the daemon uses it; see airunner models quantize",
            )
        };
        let mut line = line.into_iter();
        let (Some(json), None) = (line.next(), line.next()) else {
            return Err(bad());
        };
        let parsed: Self = json
            .to_str()
            .and_then(|json| serde_json::from_str(json).ok())
            .ok_or_else(bad)?;
        let is_whole = parsed.directory.is_absolute() && parsed.out.is_absolute();
        is_whole.then_some(parsed).ok_or_else(bad)
    }

    pub(super) fn limits(&self) -> ChildLimits {
        ChildLimits {
            address_space: self.address_space,
            open_files: self.open_files,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_daemon_writes_the_process_reads() {
        let root = std::path::absolute("/x y").unwrap();
        let arguments = QuantizeArguments {
            model: "owner/name".to_owned(),
            directory: root.join("model"),
            level: "q4_m".to_owned(),
            out: root.join("new"),
            compares: true,
            text: Some(root.join("text")),
            onnxruntime_library: Some(root.join("library")),
            threads: 3,
            address_space: Some(1 << 34),
            open_files: None,
            log_level: "debug".to_owned(),
        };
        let line = arguments.to_line().unwrap();
        assert_eq!(line[0], QUANTIZE);
        let read = QuantizeArguments::parse(line.into_iter().skip(1)).unwrap();
        assert_eq!(read, arguments);
        for line in [&[][..], &["{}"], &["--evil"], &["{}", "{}"]] {
            assert!(QuantizeArguments::parse(line.iter().map(OsString::from)).is_err());
        }
    }
}
