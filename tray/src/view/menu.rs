//! What a menu consists of, independent of who shows it.

use std::fmt;

use airunner_core::ModelName;
use airunner_core::activity::ActivityId;
use airunner_core::download::DownloadId;
use airunner_core::keep_alive::KeepAlive;
use airunner_core::notification::NotificationId;

use crate::icon::IconKind;

/// Everything that is to be seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) icon: IconKind,
    /// One line, also the first of the menu.
    pub(crate) status: String,
    pub(crate) menu: Vec<Entry>,
}

/// One line of a menu. Labels are plain text: what marks a mnemonic where the menu is shown has
/// to be escaped there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    Separator,
    /// Something to read.
    Text(String),
    Item {
        label: String,
        /// `None`: it cannot be chosen.
        action: Option<Action>,
    },
    Check {
        label: String,
        checked: bool,
        action: Option<Action>,
    },
    Submenu {
        label: String,
        entries: Vec<Entry>,
    },
}

/// What choosing an entry means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Ask(Command),
    Open(Target),
    /// Everything that went wrong has been seen.
    Dismiss,
    /// The tray goes; the daemon goes on.
    Quit,
    /// The daemon ends, and then the tray.
    StopAndQuit,
}

/// Something for the daemon or the system to do, which may fail and take its time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Start,
    Stop,
    /// Ends the daemon and starts the installed one.
    Restart,
    /// What the daemon does not tell by itself.
    Refresh,
    Load(ModelName),
    Unload(ModelName),
    Pin(ModelName, bool),
    Keep(ModelName, KeepAlive),
    Free,
    /// Unloads everything and refuses politely until it is resumed.
    Pause,
    Resume,
    /// Switches a setting on or off.
    Switch(String, bool),
    PauseDownload(DownloadId),
    ResumeDownload(DownloadId),
    CancelDownload(DownloadId),
    CancelActivity(ActivityId),
    /// Presses a button of a notification, by its key.
    Answer(NotificationId, String),
    DismissNotification(NotificationId),
    /// Whether AI Runner starts at login.
    AskLogin,
    SetLogin(bool),
    /// It does not, and nobody is to ask again.
    DeclineLogin,
}

/// Something that another program shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Settings,
    Logs,
    Page(String),
}

impl Entry {
    pub(crate) fn item(label: impl Into<String>, action: Action) -> Self {
        Self::maybe(label, Some(action))
    }

    /// An item that can be chosen only with an action.
    pub(crate) fn maybe(label: impl Into<String>, action: Option<Action>) -> Self {
        let label = label.into();
        Self::Item { label, action }
    }

    pub(crate) fn submenu(label: impl Into<String>, entries: Vec<Self>) -> Self {
        let label = label.into();
        Self::Submenu { label, entries }
    }
}

/// As a person would draw it, for tests and for looking at.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "({}) {}", self.icon.as_str(), self.status)?;
        self.menu.iter().try_for_each(|entry| entry.draw(f, 0))
    }
}

impl Entry {
    fn draw(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = "    ".repeat(depth);
        match self {
            Self::Separator => writeln!(f, "{indent}---"),
            Self::Text(label) => writeln!(f, "{indent}{label}"),
            Self::Item { label, action } => writeln!(f, "{indent}{}", button(label, action.is_some())),
            Self::Check {
                label,
                checked,
                action,
            } => {
                let mark = if *checked { "[x]" } else { "[ ]" };
                writeln!(f, "{indent}{mark} {}", button(label, action.is_some()))
            }
            Self::Submenu { label, entries } => {
                writeln!(f, "{indent}{label} >")?;
                entries.iter().try_for_each(|entry| entry.draw(f, depth + 1))
            }
        }
    }
}

fn button(label: &str, enabled: bool) -> String {
    if enabled {
        format!("<{label}>")
    } else {
        format!("({label})")
    }
}
