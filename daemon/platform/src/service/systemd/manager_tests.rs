use std::path::{Path, PathBuf};

use super::super::testing::{Recorder, places_in, shown, surroundings};
use super::super::{Manager, Options, Scope, Service, ServiceError};

struct Fixture {
    home: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn unit(&self) -> PathBuf {
        self.home.path().join("units/airunner.service")
    }

    fn socket(&self) -> PathBuf {
        places_in(&self.home).socket()
    }

    /// With units that systemd knows from a file.
    fn service(&self, file: &Path, file_state: &str, active: &str) -> Service<Recorder> {
        self.answering(&shown(file, &self.socket(), file_state, active))
    }

    fn answering(&self, show: &str) -> Service<Recorder> {
        let answers = [("show ", show), ("show-user", "yes\n")];
        let mut surroundings = surroundings(places_in(&self.home), &self.home, "1000");
        let home = self.home.path().join("places").display().to_string();
        surroundings.carried = vec![("AIRUNNER_HOME".to_owned(), home)];
        Service::new(Manager::Systemd, surroundings, Recorder::answering(&answers))
    }

    fn options(&self) -> Options {
        Options {
            executable: "/opt/ai runner/airunnerd".into(),
            enable: false,
            now: false,
            replace: false,
        }
    }
}

fn verbs(service: &Service<Recorder>) -> Vec<String> {
    let calls = service.commands().calls().into_iter();
    let asks = |call: &String| !call.contains(" show ");
    calls
        .filter(asks)
        .map(|call| call.replace("systemctl --user ", ""))
        .collect()
}

#[tokio::test]
async fn installing_writes_and_reloads_and_nothing_else() {
    let fixture = Fixture::new();
    let service = fixture.service(&fixture.unit(), "disabled", "inactive");
    let installed = service.install(&fixture.options()).await.unwrap();
    assert_eq!(installed.written.len(), 2);
    assert_eq!(installed.scope, Some(Scope::User));
    assert_eq!(verbs(&service), ["daemon-reload"]);
    let again = service.install(&fixture.options()).await.unwrap();
    assert!(again.written.is_empty() && again.kept.is_empty());
}

#[tokio::test]
async fn enabling_and_starting_are_asked_for() {
    let fixture = Fixture::new();
    let service = fixture.service(&fixture.unit(), "disabled", "inactive");
    let options = Options {
        enable: true,
        now: true,
        ..fixture.options()
    };
    service.install(&options).await.unwrap();
    assert_eq!(
        verbs(&service),
        [
            "daemon-reload",
            "enable airunner.service airunner.socket",
            "reset-failed airunner.service airunner.socket",
            "start airunner.socket airunner.service",
        ]
    );
}

#[tokio::test]
async fn what_was_changed_by_hand_stays_unless_it_is_to_be_replaced() {
    let fixture = Fixture::new();
    let service = fixture.service(&fixture.unit(), "enabled", "active");
    service.install(&fixture.options()).await.unwrap();
    let mine = std::fs::read_to_string(fixture.unit())
        .unwrap()
        .replace("WatchdogSec=30", "WatchdogSec=90");
    std::fs::write(fixture.unit(), &mine).unwrap();
    assert!(service.status().await.unwrap().edited);
    let newer = Options {
        executable: "/opt/newer/airunnerd".into(),
        ..fixture.options()
    };
    let installed = service.install(&newer).await.unwrap();
    assert_eq!(installed.kept, [fixture.unit()]);
    assert_eq!(std::fs::read_to_string(fixture.unit()).unwrap(), mine);
    let replacing = Options {
        replace: true,
        ..newer
    };
    let installed = service.install(&replacing).await.unwrap();
    assert_eq!(std::fs::read_to_string(&installed.put_aside[0]).unwrap(), mine);
    assert!(
        std::fs::read_to_string(fixture.unit())
            .unwrap()
            .contains("/opt/newer")
    );
}

#[tokio::test]
async fn a_unit_of_a_package_for_the_same_program_is_used() {
    let fixture = Fixture::new();
    let package = fixture.home.path().join("usr/lib/systemd/user/airunner.service");
    std::fs::create_dir_all(package.parent().unwrap()).unwrap();
    let definition = super::super::Definition::packaged(fixture.options().executable);
    std::fs::write(&package, super::service_unit(&definition).unwrap()).unwrap();
    let mut surroundings = fixture
        .service(&package, "disabled", "inactive")
        .surroundings()
        .clone();
    surroundings.carried.clear();
    let show = shown(&package, &fixture.socket(), "disabled", "inactive");
    let service = Service::new(
        Manager::Systemd,
        surroundings,
        Recorder::answering(&[("show ", &show)]),
    );
    let installed = service.install(&fixture.options()).await.unwrap();
    assert_eq!(installed.scope, Some(Scope::Package));
    assert!(!fixture.unit().exists(), "there is one scope only");
    // Root is passed over by it.
    let mut root = service.surroundings().clone();
    root.user = Some("0".to_owned());
    let root = Service::new(Manager::Systemd, root, Recorder::answering(&[("show ", &show)]));
    assert!(!root.status().await.unwrap().installed);
    let of_root = root.install(&fixture.options()).await.unwrap();
    assert_eq!(of_root.scope, Some(Scope::User));
    std::fs::remove_file(fixture.unit()).unwrap();
    // Another program of the user's own needs a unit of its own.
    let own = Options {
        executable: "/home/me/airunnerd".into(),
        ..fixture.options()
    };
    service.install(&own).await.unwrap();
    assert!(fixture.unit().exists());
}

#[tokio::test]
async fn uninstalling_disables_stops_removes_and_reloads() {
    let fixture = Fixture::new();
    let service = fixture.service(&fixture.unit(), "enabled", "active");
    service.install(&fixture.options()).await.unwrap();
    let removed = service.uninstall().await.unwrap();
    assert_eq!(removed.len(), 2);
    assert_eq!(
        verbs(&service)[1..],
        [
            "disable airunner.service airunner.socket",
            "stop airunner.socket airunner.service",
            "daemon-reload",
            "reset-failed airunner.service airunner.socket",
        ]
    );
    assert!(!fixture.unit().exists());
    let gone = fixture.answering("Id=airunner.service\nLoadState=not-found\n");
    assert!(gone.uninstall().await.unwrap().is_empty());
}

#[tokio::test]
async fn another_home_s_service_is_left_alone() {
    let fixture = Fixture::new();
    let show = shown(
        &fixture.unit(),
        Path::new("/elsewhere/run/airunnerd.sock"),
        "enabled",
        "active",
    );
    let service = fixture.answering(&show);
    std::fs::create_dir_all(fixture.home.path().join("units")).unwrap();
    let theirs = "[Socket]\nListenStream=/else%%where/run/airunnerd.sock\n";
    std::fs::write(fixture.home.path().join("units/airunner.socket"), theirs).unwrap();
    let refused = service.install(&fixture.options()).await.unwrap_err();
    assert!(matches!(refused, ServiceError::Elsewhere { ref socket } if socket.contains("else%where")));
    let status = service.status().await.unwrap();
    assert!(!status.installed && status.problem.unwrap().contains("/elsewhere/run"));
    assert!(matches!(
        service.uninstall().await,
        Err(ServiceError::Elsewhere { .. })
    ));
    assert!(verbs(&service).iter().all(|call| call.starts_with("loginctl")));
}

#[tokio::test]
async fn the_status_is_what_systemd_says() {
    let fixture = Fixture::new();
    let service = fixture.service(&fixture.unit(), "enabled", "active");
    let status = service.status().await.unwrap();
    assert!(status.installed && status.enabled && status.running && status.listening);
    assert_eq!((status.pid, status.lingers), (Some(42), Some(true)));
    let masked = "Id=airunner.service\nLoadState=masked\nUnitFileState=masked\nActiveState=inactive\n";
    let status = fixture.answering(masked).status().await.unwrap();
    assert!(status.installed && !status.enabled && status.problem.unwrap().contains("unmask"));
    let failed = shown(&fixture.unit(), &fixture.socket(), "disabled", "failed");
    let status = fixture.answering(&failed).status().await.unwrap();
    assert!(!status.running && status.problem.unwrap().contains("journalctl"));
}

#[tokio::test]
async fn without_a_session_the_user_is_told_what_to_do() {
    let fixture = Fixture::new();
    let service = fixture.answering("!Failed to connect to bus: No medium found\n");
    let error = service.install(&fixture.options()).await.unwrap_err();
    assert!(error.to_string().contains("enable-linger"), "{error}");
    assert!(!fixture.unit().exists(), "nothing is half done");
    assert_eq!(service.installed().await.unwrap(), None);
}

#[cfg(unix)]
#[tokio::test]
async fn a_home_that_cannot_be_written_is_a_plain_error() {
    let fixture = Fixture::new();
    std::fs::write(
        fixture.home.path().join("units"),
        "a file where a directory should be",
    )
    .unwrap();
    let service = fixture.service(&fixture.unit(), "disabled", "inactive");
    let error = service.install(&fixture.options()).await.unwrap_err();
    assert!(
        matches!(error, ServiceError::Read { .. } | ServiceError::Write { .. }),
        "{error}"
    );
}
