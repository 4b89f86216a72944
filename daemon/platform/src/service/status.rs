use std::path::PathBuf;
use std::time::SystemTime;

/// Who starts services for users here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// The user's own systemd.
    Systemd,
    /// The agents of macOS.
    Launchd,
    /// Tasks that run when a user of Windows logs on.
    TaskScheduler,
}

impl Manager {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Launchd => "launchd",
            Self::TaskScheduler => "task scheduler",
        }
    }
}

/// Whose file describes the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The user's, written by `install`.
    User,
    /// A package's, for every user of the machine.
    Package,
}

impl Scope {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Package => "package",
        }
    }
}

/// What the system says of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `None`: there is no service manager; `problem` says so.
    pub manager: Option<Manager>,
    pub installed: bool,
    /// It starts when the user logs in.
    pub enabled: bool,
    pub running: bool,
    /// The manager listens for it and starts it when somebody connects.
    pub listening: bool,
    pub scope: Option<Scope>,
    /// What describes it.
    pub file: Option<PathBuf>,
    /// The file was changed by hand since it was written.
    pub edited: bool,
    pub pid: Option<u32>,
    pub since: Option<SystemTime>,
    /// How often the manager has brought it back since it was started.
    pub restarts: u32,
    /// The user's services run without a login too; `None`: not known, or there is no such thing.
    pub lingers: Option<bool>,
    /// In the manager's own words.
    pub state: String,
    /// What is wrong, and what to do.
    pub problem: Option<String>,
}

impl Status {
    /// Where nobody starts services.
    #[must_use]
    pub fn without_manager(problem: String) -> Self {
        Self {
            problem: Some(problem),
            ..Self::default()
        }
    }
}
