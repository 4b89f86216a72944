use std::path::PathBuf;

/// What a service's files are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The daemon, by its absolute path.
    pub executable: PathBuf,
    /// Where it listens; `None` is the usual place of whichever user runs it.
    pub socket: Option<PathBuf>,
    /// Variables that decide where things are.
    pub environment: Vec<(String, String)>,
    /// Shipped by a package for every user of the machine, so also for accounts of the system,
    /// which must not run it.
    pub for_everybody: bool,
    /// Where standard error goes, where nothing else takes it.
    pub error_log: PathBuf,
}

impl Definition {
    /// As a package ships it.
    #[must_use]
    pub fn packaged(executable: PathBuf) -> Self {
        Self {
            executable,
            socket: None,
            environment: Vec::new(),
            for_everybody: true,
            error_log: PathBuf::from("/dev/null"),
        }
    }
}
