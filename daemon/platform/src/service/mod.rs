//! The daemon as a service of the user's own service manager, and what starts at login.
//!
//! Files for systemd, launchd and the Windows task scheduler are made by pure functions; they are
//! installed, enabled, started and removed by the system's own tools, which are called through
//! [`Commands`] so that tests see exactly what would be called. There is one scope only: the
//! user's. Nothing is enabled that was not asked for, and what is true is asked of the system.

mod autostart;
mod commands;
mod definition;
mod error;
mod facade;
mod launchd;
pub mod login;
#[cfg_attr(all(unix, not(target_os = "macos")), path = "os/linux.rs")]
#[cfg_attr(target_os = "macos", path = "os/macos.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod os;
mod question;
mod scheduler;
mod status;
mod surroundings;
mod systemd;
#[cfg(test)]
mod testing;
mod text;
mod written;
mod xml;

pub use autostart::{Autostart, desktop_entry};
pub use commands::{Call, Commands, Outcome, SystemCommands};
pub use definition::Definition;
pub use error::ServiceError;
pub use facade::{Installed, Options, Service};
pub use launchd::{LABEL, property_list};
pub use question::{remember_answer, was_asked};
pub use scheduler::task;
pub use status::{Manager, Scope, Status};
pub use surroundings::Surroundings;
pub use systemd::{SERVICE_UNIT, SOCKET_UNIT, service_unit, socket_unit};

use airunner_core::Fault;

/// Writes the service's files; see [`Service::install`].
pub async fn install(options: &Options) -> Result<Installed, Fault> {
    Ok(Service::of_this_user()?.install(options).await?)
}

/// Stops, disables and removes it; see [`Service::uninstall`].
pub async fn uninstall() -> Result<Vec<std::path::PathBuf>, Fault> {
    Ok(Service::of_this_user()?.uninstall().await?)
}

/// What the system says; without a service manager, that.
pub async fn status() -> Result<Status, Fault> {
    match Service::of_this_user() {
        Ok(service) => Ok(service.status().await?),
        Err(error @ ServiceError::NoManager(_)) => Ok(Status::without_manager(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Starts the installed service.
pub async fn start() -> Result<(), Fault> {
    Ok(Service::of_this_user()?.start().await?)
}

/// Stops the installed service, so that nothing brings it back before the next login.
pub async fn stop() -> Result<(), Fault> {
    Ok(Service::of_this_user()?.stop().await?)
}

/// Stops the installed service and starts it again.
pub async fn restart() -> Result<(), Fault> {
    Ok(Service::of_this_user()?.restart().await?)
}
