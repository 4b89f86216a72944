//! Installing and running the units by `systemctl --user`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::commands::{Call, Commands, Outcome, demand, run};
use super::super::facade::{Installed, Options};
use super::super::status::{Manager, Scope, Status};
use super::super::surroundings::Surroundings;
use super::super::written::{self, Known};
use super::super::{ServiceError, os};
use super::show::{self, Unit};
use super::{SERVICE_UNIT, SOCKET_UNIT, service_unit, socket_unit};

/// Requests may finish within the grace time, which can be an hour.
const STOP_PATIENCE: Duration = Duration::from_secs(3900);
const START_PATIENCE: Duration = Duration::from_secs(120);

/// Accounts of people have numbers from 1000.
const LAST_SYSTEM_USER: u32 = 999;
const NOT_FOR_THE_SYSTEM: &str = "the package's unit is not for accounts of the system: \"airunner service install\" makes one for this account";

/// Where packages put units for every user, in the order in which systemd looks.
const PACKAGE_DIRECTORIES: [&str; 4] = [
    "/etc/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
    "/lib/systemd/user",
];

/// What systemd says when it cannot be asked.
const NO_SESSION: [&str; 3] = [
    "Failed to connect to bus",
    "Failed to get D-Bus connection",
    "XDG_RUNTIME_DIR",
];

/// The units of one user.
pub(in super::super) struct Systemd<'a, C> {
    pub(in super::super) surroundings: &'a Surroundings,
    pub(in super::super) commands: &'a C,
}

impl<C: Commands> Systemd<'_, C> {
    pub(in super::super) async fn install(&self, options: &Options) -> Result<Installed, ServiceError> {
        let (service, _) = self.units().await?;
        self.refuse_elsewhere(&self.socket_of_file())?;
        let packaged = self.packaged_for(&options.executable, &service);
        let mut installed = match packaged {
            Some(file) => Installed::of_package(file),
            None => self.write(options)?,
        };
        self.demand(self.user(["daemon-reload"])).await?;
        let (service, _) = self.units().await?;
        self.must_be_loaded(&service)?;
        if options.enable {
            self.demand(self.user(["enable", SERVICE_UNIT, SOCKET_UNIT]))
                .await?;
        }
        if options.now {
            self.start().await?;
        }
        installed.left_behind.clone_from(&self.surroundings.left_behind);
        Ok(installed)
    }

    /// Both units. What was changed by hand stays, unless it is to be replaced.
    fn write(&self, options: &Options) -> Result<Installed, ServiceError> {
        let definition = self.surroundings.definition(&options.executable);
        let mut installed = Installed::default();
        for (name, unit) in [
            (SERVICE_UNIT, service_unit(&definition)?),
            (SOCKET_UNIT, socket_unit(&definition)?),
        ] {
            let path = self.own(name);
            if written::look(&path)? == Known::Edited {
                if !options.replace {
                    installed.kept.push(path);
                    continue;
                }
                let aside = written::put_aside(&path).map_err(|source| ServiceError::Write {
                    path: path.clone(),
                    source,
                })?;
                installed.put_aside.push(aside);
            }
            if written::write(&path, written::marked(&unit, "# ", "").as_bytes())? {
                installed.written.push(path);
            }
        }
        installed.scope = Some(Scope::User);
        installed.file = Some(self.own(SERVICE_UNIT));
        Ok(installed)
    }

    pub(in super::super) async fn uninstall(&self) -> Result<Vec<PathBuf>, ServiceError> {
        let (service, socket) = self.units().await?;
        if !service.is_there() && !socket.is_there() {
            return Ok(Vec::new());
        }
        self.refuse_elsewhere(&socket.listens)?;
        // What is not enabled is no error to systemd, but a unit that is not there is.
        self.run(self.user(["disable", SERVICE_UNIT, SOCKET_UNIT]))
            .await?;
        self.stop().await?;
        let mut removed = Vec::new();
        for name in [SERVICE_UNIT, SOCKET_UNIT] {
            removed.extend(written::remove(&self.own(name))?);
        }
        self.demand(self.user(["daemon-reload"])).await?;
        self.run(self.user(["reset-failed", SERVICE_UNIT, SOCKET_UNIT]))
            .await?;
        Ok(removed)
    }

    /// Starts it with the next login, or no more.
    pub(in super::super) async fn enable(&self, enabled: bool) -> Result<(), ServiceError> {
        let verb = if enabled { "enable" } else { "disable" };
        self.demand(self.user([verb, SERVICE_UNIT, SOCKET_UNIT])).await?;
        Ok(())
    }

    pub(in super::super) async fn start(&self) -> Result<(), ServiceError> {
        // An earlier series of failures must not count against this start.
        self.run(self.user(["reset-failed", SERVICE_UNIT, SOCKET_UNIT]))
            .await?;
        let start = self.user(["start", SOCKET_UNIT, SERVICE_UNIT]);
        self.demand(start.within(START_PATIENCE)).await?;
        Ok(())
    }

    /// The socket goes first: otherwise the next who connects brings it back.
    pub(in super::super) async fn stop(&self) -> Result<(), ServiceError> {
        let stop = self.user(["stop", SOCKET_UNIT, SERVICE_UNIT]);
        self.demand(stop.within(STOP_PATIENCE)).await?;
        Ok(())
    }

    /// In two steps: systemd does not listen anew while a daemon that was told to end still does.
    pub(in super::super) async fn restart(&self) -> Result<(), ServiceError> {
        self.stop().await?;
        self.start().await
    }

    pub(in super::super) async fn status(&self) -> Result<Status, ServiceError> {
        let (service, socket) = self.units().await?;
        let mut status = Status {
            manager: Some(Manager::Systemd),
            lingers: self.lingers().await,
            ..Status::default()
        };
        if !service.is_there() {
            return Ok(status);
        }
        if let Err(elsewhere) = self.refuse_elsewhere(&socket.listens) {
            status.problem = Some(elsewhere.to_string());
            return Ok(status);
        }
        if self.scope(&service) == Scope::Package && self.is_of_the_system() {
            status.problem = Some(NOT_FOR_THE_SYSTEM.to_owned());
            return Ok(status);
        }
        status.installed = true;
        status.enabled = service.is_enabled();
        status.running = service.is_active();
        status.listening = socket.is_active();
        status.state = format!("{} ({})", service.active, service.sub);
        status.pid = service.pid;
        status.since = service
            .active_since
            .filter(|_| status.running)
            .and_then(os::since_boot);
        status.restarts = service.restarts;
        status.scope = Some(self.scope(&service));
        status.problem = problem(&service);
        status.edited = match (&service.file, status.scope) {
            (Some(file), Some(Scope::User)) => written::look(file)? == Known::Edited,
            _ => false,
        };
        status.file = service.file;
        Ok(status)
    }

    /// True without asking systemd, which takes a while, if there is no unit at all.
    pub(in super::super) fn is_surely_absent(&self) -> bool {
        let there = |directory: &Path| directory.join(SERVICE_UNIT).exists();
        !there(&self.surroundings.units)
            && !PACKAGE_DIRECTORIES
                .iter()
                .any(|directory| there(directory.as_ref()))
    }

    fn own(&self, name: &str) -> PathBuf {
        self.surroundings.units.join(name)
    }

    fn scope(&self, unit: &Unit) -> Scope {
        match &unit.file {
            Some(file) if file.starts_with(&self.surroundings.units) => Scope::User,
            Some(_) | None => Scope::Package,
        }
    }

    /// The unit of a package, if it starts this very program in the usual places.
    fn packaged_for(&self, executable: &Path, unit: &Unit) -> Option<PathBuf> {
        let of_package = unit.is_there() && self.scope(unit) == Scope::Package && !self.is_of_the_system();
        let file = unit.file.clone().filter(|_| of_package)?;
        let usual = self.surroundings.definition(executable).socket.is_none();
        let command = super::quote::command(executable).ok()?;
        let starts_it = format!("ExecStart={command}");
        let text = fs::read_to_string(&file).ok()?;
        (usual && text.lines().any(|line| line == starts_it)).then_some(file)
    }

    /// The units of packages pass over root and the other accounts of the system.
    fn is_of_the_system(&self) -> bool {
        let number = self
            .surroundings
            .user
            .as_deref()
            .and_then(|user| user.parse::<u32>().ok());
        number.is_some_and(|number| number <= LAST_SYSTEM_USER)
    }

    /// Two homes of one user cannot share a name.
    fn refuse_elsewhere(&self, listens: &Option<String>) -> Result<(), ServiceError> {
        let mine = self.surroundings.places.socket();
        match listens {
            Some(socket) if !show::is_at(socket, &mine) => Err(ServiceError::Elsewhere {
                socket: socket.clone(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// As the user's own unit has it; the usual place, with its `%t`, is everybody's.
    fn socket_of_file(&self) -> Option<String> {
        let text = fs::read_to_string(self.own(SOCKET_UNIT)).ok()?;
        let address = text.lines().find_map(|line| line.strip_prefix("ListenStream="))?;
        match (address.strip_prefix("%t"), &self.surroundings.runtime) {
            (Some(rest), Some(runtime)) => Some(format!("{}{rest}", runtime.display())),
            (Some(_), None) => None,
            (None, _) => Some(address.replace("%%", "%")),
        }
    }

    fn must_be_loaded(&self, unit: &Unit) -> Result<(), ServiceError> {
        if !unit.is_there() {
            return Err(ServiceError::NotFound {
                manager: "systemd",
                path: self.surroundings.units.clone(),
            });
        }
        match problem(unit) {
            Some(said) if unit.load != "loaded" => Err(ServiceError::Failed {
                command: format!("systemctl --user show {SERVICE_UNIT}"),
                said,
            }),
            Some(_) | None => Ok(()),
        }
    }

    async fn units(&self) -> Result<(Unit, Unit), ServiceError> {
        let call = self.user(["show", SERVICE_UNIT, SOCKET_UNIT, show::PROPERTIES]);
        let answer = self.demand(call).await?.stdout;
        let unit = |name| show::unit(&answer, name);
        Ok((unit(SERVICE_UNIT), unit(SOCKET_UNIT)))
    }

    /// `None` where nobody keeps count of logins.
    async fn lingers(&self) -> Option<bool> {
        let user = self.surroundings.user.as_deref()?;
        let call = Call::new("loginctl", ["show-user", user, "--property=Linger", "--value"]);
        let outcome = self
            .commands
            .run(&call)
            .await
            .ok()
            .filter(|outcome| outcome.success)?;
        Some(outcome.stdout.trim() == "yes")
    }

    fn user<const N: usize>(&self, arguments: [&str; N]) -> Call {
        let mut call = Call::new("systemctl", arguments);
        call.arguments.insert(0, "--user".to_owned());
        call
    }

    async fn run(&self, call: Call) -> Result<Outcome, ServiceError> {
        run(self.commands, call).await
    }

    async fn demand(&self, call: Call) -> Result<Outcome, ServiceError> {
        let error = match demand(self.commands, call).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        if let ServiceError::Failed { said, .. } = &error
            && NO_SESSION.iter().any(|sign| said.contains(sign))
        {
            return Err(ServiceError::NoSession(said.clone()));
        }
        Err(error)
    }
}

fn problem(unit: &Unit) -> Option<String> {
    if unit.load == "masked" {
        return Some(format!(
            "it is masked: allow it with \"systemctl --user unmask {SERVICE_UNIT}\""
        ));
    }
    if unit.load != "loaded" {
        return Some(format!(
            "systemd cannot use the unit ({}): {}",
            unit.load, unit.load_error
        ));
    }
    if unit.active == "failed" {
        return Some(format!(
            "it failed ({}): see \"airunner logs\" and \"journalctl --user -u airunner\"",
            unit.result
        ));
    }
    unit.outdated.then(|| {
        "the unit was changed since systemd read it: run \"systemctl --user daemon-reload\"".to_owned()
    })
}
