//! What the facts mean, and what to do about them.

use airunner_core::{ErrorKind, PROTOCOL_VERSION};
use serde::Serialize;

use super::facts::{Access, Facts};
use crate::units;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(crate) check: &'static str,
    pub(crate) status: Verdict,
    pub(crate) message: String,
    /// What to do; absent if all is well.
    pub(crate) advice: Option<String>,
}

impl Check {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            status: Verdict::Ok,
            message: message.into(),
            advice: None,
        }
    }

    fn warn(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            check,
            status: Verdict::Warn,
            message: message.into(),
            advice: Some(advice.into()),
        }
    }

    fn fail(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            check,
            status: Verdict::Fail,
            message: message.into(),
            advice: Some(advice.into()),
        }
    }
}

/// The ONNX Runtime this program is made for.
const RUNTIME_AT_LEAST: (u32, u32) = (1, 31);
/// A small language model and its import fit.
const MUCH_DISK: u64 = 2 << 30;
const LITTLE_DISK: u64 = 100 << 20;
const MUCH_MEMORY: u64 = 1 << 30;
const LITTLE_MEMORY: u64 = 200 << 20;

pub(super) fn all(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![
        daemon(facts),
        version(facts),
        http(facts),
        runtime(facts),
        builtin(facts),
        socket(facts),
    ];
    checks.splice(3..3, visual_cpp(facts));
    checks.extend(facts.directories.iter().map(|directory| {
        let path = directory.path.display();
        match directory.access {
            Access::Private => Check::ok(directory.check, format!("{path} is yours alone")),
            Access::Missing => Check::ok(directory.check, format!("{path} is made when it is needed")),
            Access::Open => Check::warn(
                directory.check,
                format!("{path} is open to other users"),
                format!("close it with: chmod go= \"{path}\""),
            ),
        }
    }));
    checks.push(disk(facts));
    checks.push(memory(facts));
    checks
}

fn daemon(facts: &Facts) -> Check {
    match &facts.daemon {
        Ok(status) if status.shutting_down => {
            Check::warn("daemon", "is shutting down", "run: airunner start")
        }
        Ok(status) => Check::ok("daemon", format!("runs as process {}", status.pid)),
        Err(fault) if fault.kind == ErrorKind::DaemonNotRunning => {
            Check::fail("daemon", "is not running", "run: airunner start")
        }
        Err(fault) if fault.kind == ErrorKind::ProtocolMismatch => {
            Check::fail("daemon", fault.message.clone(), "run: airunner restart")
        }
        Err(fault) => Check::fail("daemon", fault.message.clone(), "see: airunner logs"),
    }
}

fn version(facts: &Facts) -> Check {
    let mine = facts.version;
    let Ok(status) = &facts.daemon else {
        return Check::ok("version", format!("{mine}; the daemon's is not known"));
    };
    match status.difference(mine, facts.replaced) {
        None => Check::ok("version", format!("{mine}, protocol {PROTOCOL_VERSION}")),
        Some(difference) => Check::warn(
            "version",
            difference,
            "run: airunner restart; if that changes nothing, install both from one release",
        ),
    }
}

fn http(facts: &Facts) -> Check {
    let Ok(status) = &facts.daemon else {
        return Check::ok("HTTP", "is not known while the daemon does not answer");
    };
    let http = &status.http;
    match &http.problem {
        Some(problem) => Check::warn(
            "HTTP",
            problem.clone(),
            "mend it with airunner settings set, or mend config.toml and run: airunner settings reload",
        ),
        None if http.urls.is_empty() => Check::ok("HTTP", "is switched off"),
        None => Check::ok("HTTP", format!("answers at {}", http.urls.join(" "))),
    }
}

fn runtime(facts: &Facts) -> Check {
    let (major, minor) = RUNTIME_AT_LEAST;
    let Some(library) = &facts.library else {
        return Check::fail(
            "ONNX Runtime",
            "was not found",
            format!("install version {major}.{minor} or later, or name its library in ORT_DYLIB_PATH"),
        );
    };
    let path = library.path.display();
    match library.version {
        _ if !library.exists => Check::fail(
            "ONNX Runtime",
            format!("{path} does not exist"),
            "correct runtime.onnxruntime_library in config.toml, or ORT_DYLIB_PATH",
        ),
        Some((is_major, is_minor, patch)) if (is_major, is_minor) < RUNTIME_AT_LEAST => Check::fail(
            "ONNX Runtime",
            format!("{is_major}.{is_minor}.{patch} at {path} is too old"),
            format!("install version {major}.{minor} or later"),
        ),
        Some((major, minor, patch)) => {
            Check::ok("ONNX Runtime", format!("{major}.{minor}.{patch} at {path}"))
        }
        None => Check::ok(
            "ONNX Runtime",
            format!("{path}; its version shows when a model is loaded"),
        ),
    }
}

const GET_VISUAL_CPP: &str = "get Microsoft's for x64: winget install Microsoft.VCRedist.2015+.x64";

/// Only where the library needs it.
fn visual_cpp(facts: &Facts) -> Option<Check> {
    let found = facts.visual_cpp.as_ref()?;
    let check = "Visual C++";
    let text = |version: Option<(u16, u16)>| version.map(|(major, minor)| format!("{major}.{minor}"));
    Some(match (text(found.version), text(found.wanted)) {
        _ if !found.missing.is_empty() => Check::fail(
            check,
            format!("ONNX Runtime cannot start without {}", found.missing.join(", ")),
            GET_VISUAL_CPP,
        ),
        (Some(version), Some(wanted)) if found.is_too_old() => Check::warn(
            check,
            format!("{version} is older than the {wanted} that ONNX Runtime was made with, and may crash it"),
            GET_VISUAL_CPP,
        ),
        (Some(version), _) => Check::ok(check, version),
        (None, _) => Check::ok(check, "is there; its version is not known"),
    })
}

fn builtin(facts: &Facts) -> Check {
    if facts.builtin_models.is_empty() {
        return Check::warn(
            "built-in",
            "no built-in model was found",
            "install AI Runner again",
        );
    }
    Check::ok("built-in", facts.builtin_models.join(", "))
}

fn socket(facts: &Facts) -> Check {
    let path = facts.socket.path.display();
    match (facts.socket.access, &facts.daemon) {
        (Access::Private, Ok(_)) => Check::ok("socket", format!("{path} is yours alone")),
        (Access::Private, Err(_)) => Check::warn(
            "socket",
            format!("{path} was left by a daemon that died"),
            "run: airunner start",
        ),
        (Access::Missing, _) => Check::ok("socket", "is made by the daemon"),
        (Access::Open, _) => Check::fail(
            "socket",
            format!("{path} is open to other users"),
            "run: airunner restart",
        ),
    }
}

fn disk(facts: &Facts) -> Check {
    let Some(free) = facts.free_disk else {
        return Check::ok("disk", "its free space is not known");
    };
    let message = format!("{} free for models", units::size(free));
    match free {
        0..LITTLE_DISK => Check::fail("disk", message, "make room: nothing can be imported"),
        LITTLE_DISK..MUCH_DISK => Check::warn("disk", message, "make room before importing a model"),
        _ => Check::ok("disk", message),
    }
}

fn memory(facts: &Facts) -> Check {
    let Some(memory) = facts.memory else {
        return Check::ok("memory", "its size is not known");
    };
    let message = format!(
        "{} of {} available",
        units::size(memory.available),
        units::size(memory.total)
    );
    match memory.available {
        0..LITTLE_MEMORY => Check::fail("memory", message, "close programs, or unload models: airunner ps"),
        LITTLE_MEMORY..MUCH_MEMORY => Check::warn("memory", message, "only the smallest models will fit"),
        _ => Check::ok("memory", message),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use airunner_core::Fault;
    use airunner_core::status::DaemonStatus;
    use airunner_platform::VisualCpp;

    use super::super::facts::{Library, Place};
    use super::*;
    use crate::system::Memory;

    fn healthy() -> Facts {
        let place = |check, path: &str| Place {
            check,
            path: path.into(),
            access: Access::Private,
        };
        Facts {
            version: "0.1.0",
            daemon: Ok(DaemonStatus {
                pid: 7,
                daemon_version: "0.1.0".into(),
                protocol_version: PROTOCOL_VERSION,
                socket: "/run/s".into(),
                ..DaemonStatus::default()
            }),
            replaced: false,
            library: Some(Library {
                path: PathBuf::from("/lib/x"),
                exists: true,
                version: Some((1, 31, 1)),
            }),
            visual_cpp: Some(VisualCpp {
                missing: Vec::new(),
                version: Some((14, 44)),
                wanted: Some((14, 44)),
            }),
            builtin_models: vec!["builtin/helper".into()],
            socket: place("socket", "/run/s"),
            directories: vec![place("data", "/data"), place("state", "/state")],
            free_disk: Some(1 << 40),
            memory: Some(Memory {
                total: 8 << 30,
                available: 4 << 30,
            }),
        }
    }

    fn statuses(change: impl FnOnce(&mut Facts)) -> Vec<(&'static str, Verdict)> {
        let mut facts = healthy();
        change(&mut facts);
        let checks = all(&facts);
        assert!(
            checks
                .iter()
                .all(|check| check.advice.is_some() == (check.status != Verdict::Ok))
        );
        checks
            .into_iter()
            .filter(|check| check.status != Verdict::Ok)
            .map(|check| (check.check, check.status))
            .collect()
    }

    #[test]
    fn a_healthy_installation_has_nothing_to_complain_of() {
        assert!(statuses(|_| {}).is_empty());
    }

    #[test]
    fn each_trouble_is_found_and_comes_with_advice() {
        type Change = fn(&mut Facts);
        let fault = |kind| Err(Fault::new(kind, "x"));
        let cases: [(Change, &[(&str, Verdict)]); 15] = [
            (|facts| facts.library = None, &[("ONNX Runtime", Verdict::Fail)]),
            (
                |facts| facts.library.as_mut().unwrap().version = Some((1, 30, 9)),
                &[("ONNX Runtime", Verdict::Fail)],
            ),
            (
                |facts| facts.library.as_mut().unwrap().exists = false,
                &[("ONNX Runtime", Verdict::Fail)],
            ),
            (|facts| facts.library.as_mut().unwrap().version = None, &[]),
            (
                |facts| facts.visual_cpp.as_mut().unwrap().missing = vec!["vcruntime140_1.dll"],
                &[("Visual C++", Verdict::Fail)],
            ),
            (
                |facts| facts.visual_cpp.as_mut().unwrap().version = Some((14, 29)),
                &[("Visual C++", Verdict::Warn)],
            ),
            (|facts| facts.visual_cpp.as_mut().unwrap().version = None, &[]),
            (
                |facts| facts.builtin_models.clear(),
                &[("built-in", Verdict::Warn)],
            ),
            (
                |facts| facts.socket.access = Access::Open,
                &[("socket", Verdict::Fail)],
            ),
            (
                |facts| facts.directories[1].access = Access::Open,
                &[("state", Verdict::Warn)],
            ),
            (|facts| facts.free_disk = Some(1), &[("disk", Verdict::Fail)]),
            (
                |facts| facts.memory.as_mut().unwrap().available = 500 << 20,
                &[("memory", Verdict::Warn)],
            ),
            (|facts| facts.version = "9.9.9", &[("version", Verdict::Warn)]),
            (|facts| facts.replaced = true, &[("version", Verdict::Warn)]),
            (
                |facts| facts.daemon.as_mut().unwrap().http.problem = Some("taken".to_owned()),
                &[("HTTP", Verdict::Warn)],
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(statuses(change), expected);
        }
        let down = statuses(|facts| {
            facts.daemon = fault(ErrorKind::DaemonNotRunning);
            facts.socket.access = Access::Missing;
        });
        assert_eq!(down, [("daemon", Verdict::Fail)]);
        let crashed = statuses(|facts| facts.daemon = fault(ErrorKind::DaemonNotRunning));
        assert_eq!(crashed, [("daemon", Verdict::Fail), ("socket", Verdict::Warn)]);
    }
}
