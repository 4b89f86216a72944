//! What `systemctl show` says.

use std::path::{Path, PathBuf};

/// Asked of both units.
pub(super) const PROPERTIES: &str = "--property=Id,LoadState,LoadError,UnitFileState,ActiveState,SubState,\
    FragmentPath,MainPID,ActiveEnterTimestampMonotonic,NRestarts,Result,Listen,NeedDaemonReload";

/// A unit as systemd knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) load: String,
    pub(super) load_error: String,
    pub(super) file_state: String,
    pub(super) active: String,
    pub(super) sub: String,
    pub(super) file: Option<PathBuf>,
    pub(super) pid: Option<u32>,
    /// Microseconds after the machine started.
    pub(super) active_since: Option<u64>,
    pub(super) restarts: u32,
    pub(super) result: String,
    /// The address of a socket unit.
    pub(super) listens: Option<String>,
    /// The file was changed since systemd read it.
    pub(super) outdated: bool,
}

impl Unit {
    pub(super) fn is_there(&self) -> bool {
        !self.load.is_empty() && self.load != "not-found"
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(&*self.active, "active" | "reloading")
    }

    pub(super) fn is_enabled(&self) -> bool {
        matches!(&*self.file_state, "enabled" | "enabled-runtime")
    }
}

/// Whether an address, as it is shown, is this path. Some versions show quotes, backslashes and
/// everything that is not ASCII with the escapes of C.
pub(super) fn is_at(shown: &str, path: &Path) -> bool {
    Path::new(shown) == path
        || unescape(shown).is_some_and(|bytes| path.as_os_str().as_encoded_bytes() == bytes)
}

/// `None` if there is an escape that is not known.
fn unescape(shown: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(shown.len());
    let mut rest = shown.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next()? {
            quoted @ (b'"' | b'\'' | b'\\') => bytes.push(quoted),
            first @ b'0'..=b'7' => bytes.push(number(8, [Some(first), rest.next(), rest.next()])?),
            b'x' => bytes.push(number(16, [rest.next(), rest.next()])?),
            _ => return None,
        }
    }
    Some(bytes)
}

fn number<const N: usize>(radix: u32, digits: [Option<u8>; N]) -> Option<u8> {
    let digits: Option<Vec<u8>> = digits.into_iter().collect();
    u8::from_str_radix(std::str::from_utf8(&digits?).ok()?, radix).ok()
}

/// The unit of that name in an answer about several.
pub(super) fn unit(answer: &str, name: &str) -> Unit {
    let is_it = |block: &&str| block.lines().any(|line| line.strip_prefix("Id=") == Some(name));
    answer.split("\n\n").find(is_it).map(read).unwrap_or_default()
}

fn read(block: &str) -> Unit {
    let mut unit = Unit::default();
    for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
        let text = || value.to_owned();
        match key {
            "LoadState" => unit.load = text(),
            "LoadError" => unit.load_error = text(),
            "UnitFileState" => unit.file_state = text(),
            "ActiveState" => unit.active = text(),
            "SubState" => unit.sub = text(),
            "Result" => unit.result = text(),
            "FragmentPath" if !value.is_empty() => unit.file = Some(value.into()),
            "MainPID" => unit.pid = value.parse().ok().filter(|pid| *pid > 0),
            "NRestarts" => unit.restarts = value.parse().unwrap_or(0),
            "ActiveEnterTimestampMonotonic" => unit.active_since = value.parse().ok().filter(|at| *at > 0),
            "Listen" => unit.listens = value.strip_suffix(" (Stream)").map(str::to_owned),
            "NeedDaemonReload" => unit.outdated = value == "yes",
            _ => {}
        }
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "MainPID=812\nNRestarts=2\nResult=success\nId=airunner.service\nLoadState=loaded\n\
        LoadError=\nActiveState=active\nSubState=running\n\
        FragmentPath=/home/an n/.config/systemd/user/airunner.service\nUnitFileState=enabled\n\
        NeedDaemonReload=no\nActiveEnterTimestampMonotonic=81234567\n\n\
        Listen=/run/user/1000/air runner/airunnerd.sock (Stream)\nResult=success\nId=airunner.socket\n\
        LoadState=loaded\nActiveState=active\nSubState=running\nNeedDaemonReload=yes\n\
        ActiveEnterTimestampMonotonic=0\n";

    #[test]
    fn an_address_is_known_however_it_is_shown() {
        let path = Path::new("/home/a 'b' \"c\" 100% \\d ä/s");
        for shown in [
            "/home/a 'b' \"c\" 100% \\d ä/s",
            r#"/home/a \'b\' \"c\" 100% \\d \303\244/s"#,
            r#"/home/a 'b' "c" 100% \\d \xc3\xa4/s"#,
        ] {
            assert!(is_at(shown, path), "{shown}");
        }
        for shown in ["/home/a", r"/home/\9", r"/home/\777", "/home/a\\"] {
            assert!(!is_at(shown, path), "{shown}");
        }
    }

    #[test]
    fn each_unit_is_found_in_the_answer() {
        let service = unit(ANSWER, "airunner.service");
        assert!(service.is_there() && service.is_active() && service.is_enabled() && !service.outdated);
        assert_eq!((service.pid, service.restarts), (Some(812), 2));
        assert_eq!(service.active_since, Some(81_234_567));
        assert_eq!(
            service.file,
            Some("/home/an n/.config/systemd/user/airunner.service".into())
        );
        let socket = unit(ANSWER, "airunner.socket");
        assert_eq!(
            socket.listens.as_deref(),
            Some("/run/user/1000/air runner/airunnerd.sock")
        );
        assert_eq!(
            (socket.pid, socket.active_since, socket.outdated),
            (None, None, true)
        );
        assert!(!unit(ANSWER, "other.service").is_there());
        let missing = "Id=airunner.service\nLoadState=not-found\nActiveState=inactive\nMainPID=0\n";
        let missing = unit(missing, "airunner.service");
        assert!(!missing.is_there() && !missing.is_active() && missing.pid.is_none());
    }
}
