//! The daemon as a service.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use airunner_platform::service::{Installed, Manager, Scope, Status};
use serde::Serialize;

use crate::units;

/// `airunner service status`, and a part of `airunner status`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServiceView {
    manager: Option<&'static str>,
    installed: bool,
    enabled: bool,
    running: bool,
    listening: bool,
    scope: Option<&'static str>,
    file: Option<PathBuf>,
    edited: bool,
    pid: Option<u32>,
    /// Seconds since 1970.
    since: Option<u64>,
    restarts: u32,
    lingers: Option<bool>,
    state: String,
    problem: Option<String>,
}

impl ServiceView {
    pub(crate) fn new(status: &Status) -> Self {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self {
            manager: status.manager.map(Manager::as_str),
            installed: status.installed,
            enabled: status.enabled,
            running: status.running,
            listening: status.listening,
            scope: status.scope.map(Scope::as_str),
            file: status.file.clone(),
            edited: status.edited,
            pid: status.pid,
            since: status.since.map(seconds),
            restarts: status.restarts,
            lingers: status.lingers,
            state: status.state.clone(),
            problem: status.problem.clone(),
        }
    }
}

/// The same for people.
pub(crate) fn service_lines(status: &Status) -> Vec<String> {
    if !status.installed {
        let mut lines = vec!["AI Runner is not installed as a service".to_owned()];
        lines.push(match &status.problem {
            Some(problem) => format!("  {problem}"),
            None => "  install it with: airunner service install".to_owned(),
        });
        return lines;
    }
    let manager = status.manager.map_or("nobody", Manager::as_str);
    let mut lines = vec![format!("AI Runner is a service of {manager}")];
    let mut row = |name: &str, value: String| lines.push(format!("  {name:<9} {value}"));
    row("state", state(status));
    row("login", login(status).to_owned());
    if let Some(file) = &status.file {
        let by_hand = if status.edited { ", changed by hand" } else { "" };
        let package = if status.scope == Some(Scope::Package) {
            ", of a package"
        } else {
            ""
        };
        row("file", format!("{}{package}{by_hand}", file.display()));
    }
    if status.enabled && status.lingers == Some(false) {
        row(
            "logout",
            "it ends with your last session; to keep it running: loginctl enable-linger".to_owned(),
        );
    }
    if let Some(problem) = &status.problem {
        row("problem", problem.clone());
    }
    lines
}

fn state(status: &Status) -> String {
    if !status.running {
        let on_demand = if status.listening {
            "; the first program that connects starts it"
        } else {
            ""
        };
        return format!("{}{on_demand}", status.state);
    }
    let pid = status
        .pid
        .map_or_else(String::new, |pid| format!(" as process {pid}"));
    let age = status.since.and_then(|since| since.elapsed().ok());
    let age = age.map_or_else(String::new, |age| format!(" for {}", units::duration(age)));
    let restarts = match status.restarts {
        0 => String::new(),
        1 => ", brought back once".to_owned(),
        number => format!(", brought back {number} times"),
    };
    format!("running{pid}{age}{restarts}")
}

pub(crate) const fn login(status: &Status) -> &'static str {
    if status.enabled {
        "it starts when you log in"
    } else {
        "it does not start when you log in: airunner service install --enable"
    }
}

/// `airunner service install`.
#[derive(Debug, Serialize)]
pub(crate) struct InstalledView {
    #[serde(flatten)]
    service: ServiceView,
    written: Vec<PathBuf>,
    kept: Vec<PathBuf>,
    put_aside: Vec<PathBuf>,
    left_behind: Vec<String>,
    #[serde(skip)]
    lines: Vec<String>,
}

impl InstalledView {
    pub(crate) fn new(installed: &Installed, status: &Status) -> Self {
        Self {
            service: ServiceView::new(status),
            written: installed.written.clone(),
            kept: installed.kept.clone(),
            put_aside: installed.put_aside.clone(),
            left_behind: installed.left_behind.clone(),
            lines: service_lines(status),
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = self.lines.clone();
        let mut note = |text: String| lines.push(format!("  note      {text}"));
        for path in &self.kept {
            let path = path.display();
            note(format!(
                "{path} was changed by hand and is kept as it is; --replace writes it anew"
            ));
        }
        for path in &self.put_aside {
            note(format!("what was changed by hand is kept as {}", path.display()));
        }
        if !self.left_behind.is_empty() {
            note(format!(
                "the service does not see {}: put what it says into config.toml",
                self.left_behind.join(", ")
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn running() -> Status {
        Status {
            manager: Some(Manager::Systemd),
            installed: true,
            running: true,
            scope: Some(Scope::User),
            file: Some("/home/ann/airunner.service".into()),
            pid: Some(7),
            since: SystemTime::now().checked_sub(Duration::from_secs(65)),
            restarts: 1,
            lingers: Some(false),
            state: "active (running)".to_owned(),
            ..Status::default()
        }
    }

    #[test]
    fn what_the_system_says_is_what_is_shown() {
        let lines = service_lines(&running()).join("\n");
        for part in [
            "of systemd",
            "running as process 7",
            "brought back once",
            "does not start when you log in",
        ] {
            assert!(lines.contains(part), "{part}: {lines}");
        }
        assert!(!lines.contains("linger"), "it does not start anyway: {lines}");
        let enabled = Status {
            enabled: true,
            edited: true,
            ..running()
        };
        let lines = service_lines(&enabled).join("\n");
        assert!(
            lines.contains("enable-linger") && lines.contains("changed by hand"),
            "{lines}"
        );
        let none = service_lines(&Status::without_manager("no systemd".to_owned()));
        assert_eq!(none[1], "  no systemd");
    }

    #[test]
    fn what_installing_did_not_do_is_said() {
        let installed = Installed {
            kept: vec!["/u".into()],
            left_behind: vec!["AIRUNNER_HTTP_LISTEN".to_owned()],
            ..Installed::default()
        };
        let lines = InstalledView::new(&installed, &running()).lines().join("\n");
        assert!(
            lines.contains("/u was changed by hand") && lines.contains("config.toml"),
            "{lines}"
        );
    }
}
