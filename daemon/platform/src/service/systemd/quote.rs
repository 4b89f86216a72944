//! systemd's way of quoting.

use std::path::Path;

use super::super::{ServiceError, text};

/// A word in double quotes, where specifiers are expanded: `Environment=` and arguments.
pub(super) fn word(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '%' => quoted.push_str("%%"),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// The rest of a line that is taken as it is, but for specifiers: `ListenStream=`.
pub(super) fn rest_of_line(value: &str) -> String {
    value.replace('%', "%%")
}

/// What follows `ExecStart=`. The colon keeps `$` from meaning anything.
///
/// systemd does not take a program whose path holds quotes or backslashes, however they are
/// written; as an argument it takes anything. So such a one is started by a shell, which becomes
/// it and is seen by systemd as one process.
pub(super) fn command(program: &Path) -> Result<String, ServiceError> {
    let program = text::of_path(program)?;
    let quoted = word(program);
    if program.contains(['"', '\'', '\\']) {
        return Ok(format!(":/bin/sh -c \"exec \\\"$0\\\"\" {quoted}"));
    }
    Ok(format!(":{quoted}"))
}
