use std::path::PathBuf;

use airunner_core::Fault;
use airunner_platform::service::{self, Definition, ServiceError, desktop_entry};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::daemon;
use crate::failure::Failure;
use crate::output::Output;

/// Stands for whoever will run the task.
const USER: &str = "DOMAIN\\user";

#[derive(Debug, Args)]
pub(super) struct Print {
    /// The daemon, by its absolute path; otherwise the one beside this command.
    #[arg(long, value_name = "PATH")]
    executable: Option<PathBuf>,
    /// The unit of the socket instead of the one of the service.
    #[arg(long, conflicts_with = "format")]
    socket: bool,
    /// For which service manager; otherwise for this system's.
    #[arg(long)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// The unit of systemd.
    Systemd,
    /// The agent of macOS.
    Launchd,
    /// The task of Windows.
    Windows,
    /// The tray's entry in the autostart directory; --executable names the tray.
    Autostart,
}

impl Format {
    const fn of_this_system() -> Self {
        if cfg!(target_os = "macos") {
            Self::Launchd
        } else if cfg!(windows) {
            Self::Windows
        } else {
            Self::Systemd
        }
    }
}

impl Print {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let executable = match self.executable.clone() {
            Some(executable) => executable,
            None => daemon()?,
        };
        let text = self.text(executable).map_err(Fault::from)?;
        if output.is_json() {
            return output.value(&json!({ "text": text }));
        }
        text.lines().try_for_each(|line| output.line(line))
    }

    fn text(&self, executable: PathBuf) -> Result<String, ServiceError> {
        let definition = Definition::packaged(executable);
        if self.socket {
            return service::socket_unit(&definition);
        }
        match self.format.unwrap_or(Format::of_this_system()) {
            Format::Systemd => service::service_unit(&definition),
            Format::Launchd => service::property_list(&definition),
            Format::Windows => service::task(&definition, USER, false),
            Format::Autostart => desktop_entry(&definition.executable),
        }
    }
}
