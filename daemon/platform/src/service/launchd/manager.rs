//! Loading and unloading the agent by `launchctl`, in the domain of the user's desktop.

use std::path::PathBuf;
use std::time::Duration;

use super::super::ServiceError;
use super::super::commands::{Call, Commands, demand, run};
use super::super::facade::{Installed, Options};
use super::super::status::{Manager, Scope, Status};
use super::super::surroundings::Surroundings;
use super::super::written::{self, Known};
use super::super::xml::escape;
use super::{LABEL, property_list};
use crate::places::HOME_VARIABLE;

const PATIENCE: Duration = Duration::from_secs(120);

/// The agent of one user.
pub(in super::super) struct Launchd<'a, C> {
    pub(in super::super) surroundings: &'a Surroundings,
    pub(in super::super) commands: &'a C,
}

impl<C: Commands> Launchd<'_, C> {
    pub(in super::super) async fn install(&self, options: &Options) -> Result<Installed, ServiceError> {
        let list = property_list(&self.surroundings.definition(&options.executable))?;
        let path = self.file();
        let mut installed = Installed {
            scope: Some(Scope::User),
            file: Some(path.clone()),
            left_behind: self.surroundings.left_behind.clone(),
            ..Installed::default()
        };
        let edited = written::look(&path)? == Known::Edited;
        let was_there = path.exists();
        if edited && !options.replace {
            installed.kept.push(path.clone());
        } else {
            if edited {
                let aside = written::put_aside(&path);
                let aside = aside.map_err(|source| ServiceError::Write {
                    path: path.clone(),
                    source,
                })?;
                installed.put_aside.push(aside);
            }
            let list = written::marked(&list, "<!-- ", " -->");
            if written::write(&path, list.as_bytes())? {
                installed.written.push(path);
            }
        }
        // A file in this directory is loaded at every login unless that is switched off.
        if options.enable {
            self.enable(true).await?;
        } else if !was_there {
            self.enable(false).await?;
        }
        if options.now {
            self.start().await?;
        }
        Ok(installed)
    }

    pub(in super::super) async fn uninstall(&self) -> Result<Vec<PathBuf>, ServiceError> {
        if self.file().exists() {
            self.stop().await?;
        }
        let removed = written::remove(&self.file())?;
        // What is switched off stays so under this name, also for a later installation.
        self.enable(true).await?;
        Ok(removed.into_iter().collect())
    }

    pub(in super::super) async fn enable(&self, enabled: bool) -> Result<(), ServiceError> {
        let verb = if enabled { "enable" } else { "disable" };
        demand(self.commands, Call::new("launchctl", [verb, &self.target()])).await?;
        Ok(())
    }

    pub(in super::super) async fn start(&self) -> Result<(), ServiceError> {
        if !self.file().exists() {
            return Err(ServiceError::NotInstalled);
        }
        if !self.is_loaded().await? {
            self.load().await?;
        }
        let start = Call::new("launchctl", ["kickstart", &self.target()]);
        demand(self.commands, start.within(PATIENCE)).await?;
        Ok(())
    }

    /// What is switched off cannot be loaded, so it is switched on for as long as that takes.
    async fn load(&self) -> Result<(), ServiceError> {
        let enabled = self.is_enabled().await?;
        if !enabled {
            self.enable(true).await?;
        }
        let file = self.file().display().to_string();
        let load = Call::new("launchctl", ["bootstrap", &self.domain(), &file]);
        let loaded = demand(self.commands, load.within(PATIENCE)).await;
        if !enabled {
            self.enable(false).await?;
        }
        loaded.map(drop)
    }

    /// Unloads it: one that is only told to end may be brought back.
    pub(in super::super) async fn stop(&self) -> Result<(), ServiceError> {
        if !self.is_loaded().await? {
            return Ok(());
        }
        let stop = Call::new("launchctl", ["bootout", &self.target()]);
        demand(self.commands, stop.within(PATIENCE)).await?;
        Ok(())
    }

    pub(in super::super) async fn restart(&self) -> Result<(), ServiceError> {
        self.stop().await?;
        self.start().await
    }

    pub(in super::super) async fn status(&self) -> Result<Status, ServiceError> {
        let mut status = Status {
            manager: Some(Manager::Launchd),
            ..Status::default()
        };
        let file = self.file();
        let Ok(list) = std::fs::read_to_string(&file) else {
            return Ok(status);
        };
        if !is_of(&list, self.surroundings.own_home()) {
            status.problem = Some("the agent is installed for another home of AI Runner".to_owned());
            return Ok(status);
        }
        let said = run(self.commands, Call::new("launchctl", ["print", &self.target()])).await?;
        status.installed = true;
        status.scope = Some(Scope::User);
        status.enabled = self.is_enabled().await?;
        status.state = field(&said.stdout, "state").unwrap_or("not loaded").to_owned();
        status.running = status.state == "running";
        status.pid = field(&said.stdout, "pid").and_then(|pid| pid.parse().ok());
        status.edited = written::look(&file)? == Known::Edited;
        status.file = Some(file);
        Ok(status)
    }

    async fn is_loaded(&self) -> Result<bool, ServiceError> {
        let print = Call::new("launchctl", ["print", &self.target()]);
        Ok(run(self.commands, print).await?.success)
    }

    /// Unless it is in the list of what is switched off.
    async fn is_enabled(&self) -> Result<bool, ServiceError> {
        let list = Call::new("launchctl", ["print-disabled", &self.domain()]);
        let said = demand(self.commands, list).await?.stdout;
        let name = format!("\"{LABEL}\" => ");
        let entry = said.lines().find_map(|line| line.trim().strip_prefix(&name));
        // Older systems write true for disabled.
        Ok(!entry.is_some_and(|state| matches!(state, "disabled" | "true")))
    }

    fn file(&self) -> PathBuf {
        self.surroundings.units.join(format!("{LABEL}.plist"))
    }

    fn domain(&self) -> String {
        format!("gui/{}", self.surroundings.user.as_deref().unwrap_or_default())
    }

    fn target(&self) -> String {
        format!("{}/{LABEL}", self.domain())
    }
}

/// Whether an agent is for this home, or without one for the usual places.
fn is_of(list: &str, home: Option<&str>) -> bool {
    let key = format!("<key>{HOME_VARIABLE}</key>");
    match (home, list.split_once(&key)) {
        (None, None) => true,
        (Some(home), Some((_, rest))) => rest
            .trim_start()
            .starts_with(&format!("<string>{}<", escape(home))),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// The value of a line `name = value`, of the outermost that has it.
fn field<'a>(said: &'a str, name: &str) -> Option<&'a str> {
    said.lines().find_map(|line| {
        let (key, value) = line.trim().split_once(" = ")?;
        (key == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Recorder, places_in, surroundings};
    use super::super::super::{Manager, Options, Service};
    use super::*;

    const TARGET: &str = "gui/501/dev.airunner.daemon";

    fn service(home: &tempfile::TempDir, answers: &[(&str, &str)]) -> Service<Recorder> {
        let surroundings = surroundings(places_in(home), home, "501");
        Service::new(Manager::Launchd, surroundings, Recorder::answering(answers))
    }

    fn options(enable: bool, now: bool) -> Options {
        Options {
            executable: "/Applications/AI Runner.app/airunnerd".into(),
            enable,
            now,
            replace: false,
        }
    }

    #[tokio::test]
    async fn what_was_not_asked_for_is_not_started_at_login() {
        let home = tempfile::tempdir().unwrap();
        let service = service(&home, &[]);
        let installed = service.install(&options(false, false)).await.unwrap();
        assert_eq!(installed.written.len(), 1);
        assert_eq!(
            service.commands().calls(),
            [format!("launchctl disable {TARGET}")]
        );
        // Installing again changes no choice.
        service.install(&options(false, false)).await.unwrap();
        assert_eq!(service.commands().calls().len(), 1);
    }

    #[tokio::test]
    async fn starting_what_is_off_at_login_leaves_it_off() {
        let home = tempfile::tempdir().unwrap();
        let off = format!("\t\"{LABEL}\" => disabled\n");
        let service = service(&home, &[("print gui", "!"), ("print-disabled", &off)]);
        service.install(&options(false, true)).await.unwrap();
        let file = home.path().join("units").join(format!("{LABEL}.plist"));
        let expected = [
            format!("launchctl disable {TARGET}"),
            format!("launchctl print {TARGET}"),
            "launchctl print-disabled gui/501".to_owned(),
            format!("launchctl enable {TARGET}"),
            format!("launchctl bootstrap gui/501 {}", file.display()),
            format!("launchctl disable {TARGET}"),
            format!("launchctl kickstart {TARGET}"),
        ];
        assert_eq!(service.commands().calls(), expected);
    }

    #[test]
    fn an_agent_of_another_home_is_told_apart() {
        let with_home = "<key>AIRUNNER_HOME</key>\n\t\t<string>/a &amp; b</string>";
        assert!(is_of(with_home, Some("/a & b")) && is_of("", None));
        assert!(!is_of(with_home, Some("/a")) && !is_of(with_home, None) && !is_of("", Some("/a")));
    }

    #[tokio::test]
    async fn the_state_is_what_launchd_says() {
        let home = tempfile::tempdir().unwrap();
        let running = "gui/501/dev.airunner.daemon = {\n\tactive count = 1\n\tstate = running\n\tpid = 77\n\
             \tspawn type = interactive (4)\n\tstate = inner\n}\n";
        let service = service(&home, &[("print gui", running), ("print-disabled", "{\n}\n")]);
        assert!(!service.status().await.unwrap().installed);
        service.install(&options(true, false)).await.unwrap();
        let status = service.status().await.unwrap();
        assert!(status.installed && status.enabled && status.running && !status.edited);
        assert_eq!(status.pid, Some(77));
        assert_eq!(service.uninstall().await.unwrap().len(), 1);
        let calls = service.commands().calls();
        assert!(
            calls.contains(&format!("launchctl bootout {TARGET}")),
            "{calls:?}"
        );
    }
}
