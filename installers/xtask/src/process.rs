//! Other programs: started visibly, their failure an error that names the command.

use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, bail};

use crate::workspace;

/// Runs a command whose output people see.
pub(crate) fn visible(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    check(command, status)
}

/// Any end but success is an error.
pub(crate) fn check(command: &Command, status: ExitStatus) -> anyhow::Result<()> {
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command for its standard output; what it says on standard error is part of the error.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` ended with {}\n{}",
            shown(command),
            output.status,
            said.trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", shown(command)))
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| quoted(&word.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain =
        !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "'\"$\\*;&|<>()".contains(c));
    if plain {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The first of these programs that is on the search path.
pub(crate) fn find_program(names: &[&str]) -> Option<String> {
    let directories = workspace::search_path();
    let exists = |name: &str| {
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        directories
            .iter()
            .any(|directory| directory.join(&file).is_file())
    };
    names
        .iter()
        .find(|name| exists(name))
        .map(|&name| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("echo");
        command.args(["plain", "two words", "it's", ""]);
        assert_eq!(shown(&command), r"echo plain 'two words' 'it'\''s' ''");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = output(&mut Command::new("no-such-program-of-xtask")).unwrap_err();
        assert!(
            format!("{error:#}").contains("no-such-program-of-xtask"),
            "{error:#}"
        );
        assert_eq!(find_program(&["no-such-program-of-xtask"]), None);
    }
}
