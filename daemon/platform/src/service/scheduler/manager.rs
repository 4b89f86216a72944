//! Registering and running the task by `schtasks`.

use std::path::PathBuf;

use super::super::commands::{Call, Commands, demand, run};
use super::super::facade::{Installed, Options};
use super::super::status::{Manager, Scope, Status};
use super::super::surroundings::Surroundings;
use super::super::{ServiceError, written};
use super::task;
use crate::{instance, process};

/// The task of one user.
pub(in super::super) struct Scheduler<'a, C> {
    pub(in super::super) surroundings: &'a Surroundings,
    pub(in super::super) commands: &'a C,
}

impl<C: Commands> Scheduler<'_, C> {
    pub(in super::super) async fn install(&self, options: &Options) -> Result<Installed, ServiceError> {
        // Upgrades keep what was chosen.
        let enabled = options.enable || self.described().await?.is_some_and(|xml| starts_at_logon(&xml));
        let written = self.register(options, enabled).await?;
        if options.now {
            self.start().await?;
        }
        Ok(Installed {
            scope: Some(Scope::User),
            file: Some(self.file()),
            written,
            left_behind: self.surroundings.left_behind.clone(),
            ..Installed::default()
        })
    }

    async fn register(&self, options: &Options, enabled: bool) -> Result<Vec<PathBuf>, ServiceError> {
        let definition = self.surroundings.definition(&options.executable);
        let description = task(&definition, &self.user(), enabled)?;
        let file = self.file();
        let written = written::write(&file, &utf16(&description))?;
        let path = file.display().to_string();
        let create = ["/Create", "/TN", &self.name(), "/XML", &path, "/F"];
        demand(self.commands, Call::new("schtasks", create)).await?;
        Ok(if written { vec![file] } else { Vec::new() })
    }

    pub(in super::super) async fn uninstall(&self) -> Result<Vec<PathBuf>, ServiceError> {
        if self.described().await?.is_some() {
            self.stop().await?;
            let delete = Call::new("schtasks", ["/Delete", "/TN", &self.name(), "/F"]);
            demand(self.commands, delete).await?;
        }
        let file = self.file();
        match std::fs::remove_file(&file) {
            Ok(()) => Ok(vec![file]),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(ServiceError::Remove { path: file, source }),
        }
    }

    /// The task itself stays usable; only its trigger changes.
    pub(in super::super) async fn enable(&self, enabled: bool) -> Result<(), ServiceError> {
        let Some(xml) = self.described().await? else {
            return Err(ServiceError::NotInstalled);
        };
        let changed = with_trigger(&xml, enabled);
        let file = self.file();
        written::write(&file, &utf16(&changed))?;
        let path = file.display().to_string();
        let create = ["/Create", "/TN", &self.name(), "/XML", &path, "/F"];
        demand(self.commands, Call::new("schtasks", create)).await?;
        Ok(())
    }

    pub(in super::super) async fn start(&self) -> Result<(), ServiceError> {
        demand(
            self.commands,
            Call::new("schtasks", ["/Run", "/TN", &self.name()]),
        )
        .await?;
        Ok(())
    }

    /// A task that does not run is no error.
    pub(in super::super) async fn stop(&self) -> Result<(), ServiceError> {
        run(
            self.commands,
            Call::new("schtasks", ["/End", "/TN", &self.name()]),
        )
        .await?;
        Ok(())
    }

    pub(in super::super) async fn restart(&self) -> Result<(), ServiceError> {
        self.stop().await?;
        self.start().await
    }

    /// What the tool says of a task that runs is in the user's language, so the daemon's own file
    /// tells that.
    pub(in super::super) async fn status(&self) -> Result<Status, ServiceError> {
        let mut status = Status {
            manager: Some(Manager::TaskScheduler),
            ..Status::default()
        };
        if self.surroundings.own_home().is_some() {
            status.problem = Some("a task of Windows cannot be given AIRUNNER_HOME".to_owned());
            return Ok(status);
        }
        let Some(xml) = self.described().await? else {
            return Ok(status);
        };
        let pid = instance::recorded_pid(&self.surroundings.places);
        status.pid = pid.filter(|pid| process::resident_memory(*pid).is_some());
        status.running = status.pid.is_some();
        status.installed = true;
        status.enabled = starts_at_logon(&xml);
        status.scope = Some(Scope::User);
        status.file = Some(self.file());
        (if status.running { "running" } else { "ready" }).clone_into(&mut status.state);
        Ok(status)
    }

    /// As Windows has it; `None` if there is no such task.
    async fn described(&self) -> Result<Option<String>, ServiceError> {
        let query = Call::new("schtasks", ["/Query", "/TN", &self.name(), "/XML", "ONE"]);
        let said = run(self.commands, query).await?;
        // Where there is no scheduler behind the tool, it may succeed and say nothing.
        let is_task = said.success && said.stdout.contains("<Task");
        Ok(is_task.then_some(said.stdout))
    }

    fn file(&self) -> PathBuf {
        self.surroundings.units.join("airunner-task.xml")
    }

    fn user(&self) -> String {
        self.surroundings.user.clone().unwrap_or_default()
    }

    /// Names of tasks are those of the whole machine, so the user's is in it.
    fn name(&self) -> String {
        format!("AI Runner ({})", self.user().replace('\\', "-"))
    }
}

const ON: &str = "<Enabled>true</Enabled>";
const OFF: &str = "<Enabled>false</Enabled>";

/// The part of the description that is about the trigger.
fn trigger(xml: &str) -> Option<(usize, usize)> {
    let start = xml.find("<LogonTrigger")?;
    let end = start + xml.get(start..)?.find("</LogonTrigger>")?;
    Some((start, end))
}

/// A trigger is on unless it says otherwise.
fn starts_at_logon(xml: &str) -> bool {
    trigger(xml)
        .and_then(|(start, end)| xml.get(start..end))
        .is_some_and(|trigger| !trigger.contains(OFF))
}

fn with_trigger(xml: &str, enabled: bool) -> String {
    let Some((start, end)) = trigger(xml) else {
        return xml.to_owned();
    };
    let (before, trigger, after) = (&xml[..start], &xml[start..end], &xml[end..]);
    let trigger = match (enabled, trigger.contains(OFF), trigger.contains(ON)) {
        (true, _, _) => trigger.replace(OFF, ON),
        (false, false, true) => trigger.replace(ON, OFF),
        (false, false, false) => trigger.replacen('>', &format!(">{OFF}"), 1),
        (false, true, _) => trigger.to_owned(),
    };
    format!("{before}{trigger}{after}")
}

/// What `schtasks` reads: UTF-16 with a mark of its order.
fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Recorder, places_in, surroundings};
    use super::super::super::{Manager, Options, Service};
    use super::*;

    const OPTIONS: fn(bool) -> Options = |enable| Options {
        executable: "C:\\AI Runner\\airunnerd.exe".into(),
        enable,
        now: false,
        replace: false,
    };

    fn service(home: &tempfile::TempDir, query: &str) -> Service<Recorder> {
        let surroundings = surroundings(places_in(home), home, "DESK\\ann");
        Service::new(
            Manager::TaskScheduler,
            surroundings,
            Recorder::answering(&[("/Query", query)]),
        )
    }

    #[tokio::test]
    async fn the_task_is_registered_from_a_file_and_off_unless_asked() {
        let home = tempfile::tempdir().unwrap();
        let service = service(&home, "!");
        service.install(&OPTIONS(false)).await.unwrap();
        let file = home.path().join("units/airunner-task.xml");
        let create = format!(
            "schtasks /Create /TN AI Runner (DESK-ann) /XML {} /F",
            file.display()
        );
        assert_eq!(service.commands().calls()[1], create);
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(bytes[..4], [0xFF, 0xFE, b'<', 0]);
        let units: Vec<u16> = bytes
            .chunks(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        assert!(!starts_at_logon(&String::from_utf16(&units).unwrap()));
    }

    #[tokio::test]
    async fn an_upgrade_keeps_the_choice() {
        let home = tempfile::tempdir().unwrap();
        let service = service(
            &home,
            "<Task><LogonTrigger>\n<UserId>x</UserId></LogonTrigger></Task>",
        );
        service.install(&OPTIONS(false)).await.unwrap();
        let file = std::fs::read(home.path().join("units/airunner-task.xml")).unwrap();
        let on: Vec<u8> = ON.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(file.windows(on.len()).any(|window| window == on));
        assert!(service.status().await.unwrap().enabled);
    }

    #[tokio::test]
    async fn a_tool_that_says_nothing_knows_no_task() {
        let home = tempfile::tempdir().unwrap();
        let status = service(&home, "").status().await.unwrap();
        assert!(!status.installed && !status.enabled, "{status:?}");
    }

    #[test]
    fn only_the_trigger_is_switched() {
        let settings = "<Settings><Enabled>true</Enabled></Settings>";
        for (trigger, switched) in [
            ("<LogonTrigger><Enabled>true</Enabled></LogonTrigger>", true),
            ("<LogonTrigger id=\"x\"></LogonTrigger>", true),
            ("<LogonTrigger><Enabled>false</Enabled></LogonTrigger>", false),
        ] {
            let xml = format!("{trigger}{settings}");
            assert_eq!(starts_at_logon(&xml), switched, "{trigger}");
            for enabled in [true, false] {
                let changed = with_trigger(&xml, enabled);
                assert_eq!(starts_at_logon(&changed), enabled, "{changed}");
                assert!(changed.ends_with(settings), "{changed}");
            }
        }
    }
}
