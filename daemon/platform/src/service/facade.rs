//! One way to whichever service manager there is.

use std::path::PathBuf;

use super::ServiceError;
use super::commands::{Commands, SystemCommands};
use super::launchd::Launchd;
use super::scheduler::Scheduler;
use super::status::{Manager, Scope, Status};
use super::surroundings::Surroundings;
use super::systemd::Systemd;

/// What to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The daemon, by its absolute path.
    pub executable: PathBuf,
    /// Start it at every login from now on.
    pub enable: bool,
    /// Start it now.
    pub now: bool,
    /// Replace files that were changed by hand; they are put aside.
    pub replace: bool,
}

/// What installing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    pub scope: Option<Scope>,
    /// What describes the service.
    pub file: Option<PathBuf>,
    /// New or different since before.
    pub written: Vec<PathBuf>,
    /// Changed by hand and left as they are.
    pub kept: Vec<PathBuf>,
    /// Changed by hand and replaced.
    pub put_aside: Vec<PathBuf>,
    /// Variables of this environment that look like settings and that the service will not see.
    pub left_behind: Vec<String>,
}

impl Installed {
    /// A package did it before.
    pub(super) fn of_package(file: PathBuf) -> Self {
        Self {
            scope: Some(Scope::Package),
            file: Some(file),
            ..Self::default()
        }
    }
}

/// The service of one user and one set of places.
#[derive(Clone, Debug)]
pub struct Service<C = SystemCommands> {
    manager: Manager,
    surroundings: Surroundings,
    commands: C,
}

/// Calls the same method of whichever manager it is.
macro_rules! dispatch {
    ($service:expr, $method:ident($($argument:expr),*)) => {{
        let (surroundings, commands) = (&$service.surroundings, &$service.commands);
        match $service.manager {
            Manager::Systemd => Systemd { surroundings, commands }.$method($($argument),*).await,
            Manager::Launchd => Launchd { surroundings, commands }.$method($($argument),*).await,
            Manager::TaskScheduler => Scheduler { surroundings, commands }.$method($($argument),*).await,
        }
    }};
}

impl Service {
    /// That of the user and the environment of this process.
    pub fn of_this_user() -> Result<Self, ServiceError> {
        let surroundings = Surroundings::of_process()?;
        Ok(Self {
            manager: surroundings.manager()?,
            commands: SystemCommands {
                variables: surroundings.for_tools(),
            },
            surroundings,
        })
    }
}

impl<C: Commands> Service<C> {
    /// With everything given.
    pub const fn new(manager: Manager, surroundings: Surroundings, commands: C) -> Self {
        Self {
            manager,
            surroundings,
            commands,
        }
    }

    #[must_use]
    pub const fn manager(&self) -> Manager {
        self.manager
    }

    /// Its `stop` and `restart` let the daemon finish what it does. Where this is false, ask the
    /// daemon itself to end.
    #[must_use]
    pub const fn ends_in_good_order(&self) -> bool {
        match self.manager {
            Manager::Systemd | Manager::Launchd => true,
            Manager::TaskScheduler => false,
        }
    }

    #[must_use]
    pub const fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    #[cfg(test)]
    pub(super) const fn commands(&self) -> &C {
        &self.commands
    }

    /// Writes what describes the service, or uses what a package brought for the same program.
    /// Files that are as they should be are not touched; nothing is enabled or started unless
    /// that is asked for.
    pub async fn install(&self, options: &Options) -> Result<Installed, ServiceError> {
        dispatch!(self, install(options))
    }

    /// Stops and disables it, and removes what `install` wrote. Returns the files that went; what
    /// belongs to a package stays.
    pub async fn uninstall(&self) -> Result<Vec<PathBuf>, ServiceError> {
        dispatch!(self, uninstall())
    }

    /// What the system says.
    pub async fn status(&self) -> Result<Status, ServiceError> {
        dispatch!(self, status())
    }

    /// Starts it with the next login, or no more.
    pub async fn enable(&self, enabled: bool) -> Result<(), ServiceError> {
        dispatch!(self, enable(enabled))
    }

    /// Starts it, and returns when it is ready, where the manager can tell.
    pub async fn start(&self) -> Result<(), ServiceError> {
        dispatch!(self, start())
    }

    /// Ends it, and keeps the manager from bringing it back before the next login.
    pub async fn stop(&self) -> Result<(), ServiceError> {
        dispatch!(self, stop())
    }

    /// Ends it and starts it again.
    pub async fn restart(&self) -> Result<(), ServiceError> {
        dispatch!(self, restart())
    }

    /// Its status if it is installed for these places. Costs nothing where nothing is installed.
    pub async fn installed(&self) -> Result<Option<Status>, ServiceError> {
        let (surroundings, commands) = (&self.surroundings, &self.commands);
        if self.manager == Manager::Systemd
            && (Systemd {
                surroundings,
                commands,
            })
            .is_surely_absent()
        {
            return Ok(None);
        }
        match self.status().await {
            Ok(status) => Ok(Some(status).filter(|status| status.installed)),
            // Without a session of systemd nothing is managed by it.
            Err(ServiceError::NoSession(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
