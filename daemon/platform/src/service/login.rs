//! What starts when the user logs in: the daemon as a service, and the tray with the desktop.

use airunner_core::Fault;

use super::autostart::Autostart;
use super::commands::{Commands, SystemCommands};
use super::facade::{Options, Service};
use super::surroundings::Surroundings;
use super::{ServiceError, remember_answer};
use crate::Installation;

const DAEMON: &str = "airunnerd";
const TRAY: &str = "airunner-tray";

/// What the system says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginState {
    /// AI Runner starts at login: the daemon, or where there is no service manager the tray,
    /// which starts it.
    pub enabled: bool,
    pub daemon: bool,
    pub tray: bool,
    /// Why the daemon cannot start at login.
    pub problem: Option<String>,
}

/// Asks the system.
pub async fn state() -> Result<LoginState, Fault> {
    let surroundings = Surroundings::of_process()?;
    let commands = SystemCommands {
        variables: surroundings.for_tools(),
    };
    Ok(state_of(&manager(&surroundings, &commands), &surroundings, &commands).await?)
}

/// Switches it on or off and returns what is true after that. On installs the service if there is
/// none; off leaves it installed and running.
pub async fn set(enabled: bool) -> Result<LoginState, Fault> {
    let surroundings = Surroundings::of_process()?;
    let commands = SystemCommands {
        variables: surroundings.for_tools(),
    };
    let installation = Installation::locate()
        .map_err(|error| Fault::internal(format!("cannot find this program: {error}")))?;
    let service = manager(&surroundings, &commands);
    // Whoever has decided need not be asked.
    drop(remember_answer(&surroundings.places, enabled));
    set_of(&service, &surroundings, &commands, &installation, enabled).await?;
    Ok(state_of(&service, &surroundings, &commands).await?)
}

type Managed<C> = Result<Service<C>, ServiceError>;

fn manager<C: Commands + Clone>(surroundings: &Surroundings, commands: &C) -> Managed<C> {
    let manager = surroundings.manager()?;
    Ok(Service::new(manager, surroundings.clone(), commands.clone()))
}

async fn state_of<C: Commands>(
    service: &Managed<C>,
    surroundings: &Surroundings,
    commands: &C,
) -> Result<LoginState, ServiceError> {
    let tray = Autostart::new(surroundings, commands).is_set().await?;
    let mut state = LoginState {
        tray,
        ..LoginState::default()
    };
    match service {
        Ok(service) => match service.status().await {
            Ok(status) => {
                state.daemon = status.enabled;
                state.enabled = status.enabled;
                state.problem = status.problem;
            }
            Err(error @ ServiceError::NoSession(_)) => state.problem = Some(error.to_string()),
            Err(error) => return Err(error),
        },
        Err(error) => {
            state.enabled = tray;
            state.problem = Some(error.to_string());
        }
    }
    Ok(state)
}

async fn set_of<C: Commands>(
    service: &Managed<C>,
    surroundings: &Surroundings,
    commands: &C,
    installation: &Installation,
    enabled: bool,
) -> Result<(), ServiceError> {
    let autostart = Autostart::new(surroundings, commands);
    let tray = installation.program(TRAY);
    if !enabled {
        autostart.clear().await?;
        if let Ok(service) = service
            && service.installed().await?.is_some()
        {
            service.enable(false).await?;
        }
        return Ok(());
    }
    match service {
        Ok(service) => {
            let options = Options {
                executable: installation.program(DAEMON),
                enable: true,
                now: false,
                replace: false,
            };
            service.install(&options).await?;
        }
        // The tray starts the daemon.
        Err(_) if tray.is_file() => {}
        Err(ServiceError::NoManager(why)) => return Err(ServiceError::NoManager(why)),
        Err(_) => return Err(ServiceError::NoHome),
    }
    if tray.is_file() {
        autostart.set(&tray).await?;
    }
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::super::status::Manager;
    use super::super::testing::{Recorder, places_in, shown, surroundings};
    use super::*;

    const NO_MANAGER: Managed<Recorder> = Err(ServiceError::NoManager("no systemd here"));

    fn installation(home: &tempfile::TempDir, with_tray: bool) -> Installation {
        let bin = home.path().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        if with_tray {
            std::fs::write(bin.join(TRAY), "").unwrap();
        }
        Installation::of(bin.join("airunner"))
    }

    #[tokio::test]
    async fn on_installs_enables_and_shows_the_tray_and_off_takes_both_back() {
        let home = tempfile::tempdir().unwrap();
        let surroundings = surroundings(places_in(&home), &home, "1000");
        let unit = surroundings.units.join("airunner.service");
        let listens = surroundings.places.socket();
        let enabled = shown(&unit, &listens, "enabled", "active");
        let commands = Recorder::answering(&[("show ", &enabled), ("show-user", "no\n")]);
        let service = Ok(Service::new(
            Manager::Systemd,
            surroundings.clone(),
            commands.clone(),
        ));
        let installation = installation(&home, true);
        set_of(&service, &surroundings, &commands, &installation, true)
            .await
            .unwrap();
        let calls = commands.calls();
        assert!(
            calls.contains(&"systemctl --user enable airunner.service airunner.socket".to_owned()),
            "{calls:?}"
        );
        assert!(!calls.iter().any(|call| call.contains(" start ")), "{calls:?}");
        let state = state_of(&service, &surroundings, &commands).await.unwrap();
        assert_eq!((state.enabled, state.daemon, state.tray), (true, true, true));
        set_of(&service, &surroundings, &commands, &installation, false)
            .await
            .unwrap();
        let calls = commands.calls();
        assert_eq!(
            calls.last().map(String::as_str),
            Some("systemctl --user disable airunner.service airunner.socket")
        );
        assert!(unit.exists(), "it stays installed");
        assert!(!state_of(&service, &surroundings, &commands).await.unwrap().tray);
    }

    #[tokio::test]
    async fn without_a_service_manager_the_tray_does_it_or_the_reason_is_said() {
        let home = tempfile::tempdir().unwrap();
        let surroundings = surroundings(places_in(&home), &home, "1000");
        let commands = Recorder::default();
        let without_tray = installation(&home, false);
        let refused = set_of(&NO_MANAGER, &surroundings, &commands, &without_tray, true).await;
        assert!(matches!(refused, Err(ServiceError::NoManager(_))));
        let with_tray = installation(&home, true);
        set_of(&NO_MANAGER, &surroundings, &commands, &with_tray, true)
            .await
            .unwrap();
        let state = state_of(&NO_MANAGER, &surroundings, &commands).await.unwrap();
        assert_eq!((state.enabled, state.daemon, state.tray), (true, false, true));
        assert_eq!(state.problem.as_deref(), Some("no systemd here"));
    }
}
