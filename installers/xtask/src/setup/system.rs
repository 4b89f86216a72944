//! Programs that must come from the operating system.

use std::process::Command;

use anyhow::bail;

use crate::{process, say};

/// Rust links with the C compiler's driver.
pub(super) fn require_compiler() -> anyhow::Result<()> {
    if process::find_program(&["cc", "gcc", "clang", "link"]).is_some() {
        return Ok(());
    }
    install("a C compiler", &["gcc", "libc6-dev"])?;
    if process::find_program(&["cc", "gcc"]).is_none() {
        bail!("no C compiler is on the search path although the packages are installed");
    }
    Ok(())
}

/// SQLite and ring are written in C, also where only types are checked. Where the checks run as
/// root the compiler is installed; elsewhere the error says what to do.
pub(crate) fn require_windows_compiler() -> anyhow::Result<()> {
    const COMPILER: [&str; 1] = ["x86_64-w64-mingw32-gcc"];
    if cfg!(windows) || process::find_program(&COMPILER).is_some() {
        return Ok(());
    }
    install("a C compiler for Windows", &["gcc-mingw-w64-x86-64-win32"])?;
    if process::find_program(&COMPILER).is_none() {
        bail!(
            "{} is not on the search path although its package is installed",
            COMPILER[0]
        );
    }
    Ok(())
}

/// A Python whose pip works: the one way to fetch wheels.
pub(crate) fn python_with_pip() -> anyhow::Result<String> {
    if let Some(python) = find_python_with_pip() {
        return Ok(python);
    }
    install("Python 3 with pip", &["python3", "python3-pip"])?;
    match find_python_with_pip() {
        Some(python) => Ok(python),
        None => bail!("`python3 -m pip --version` still fails although the packages are installed"),
    }
}

fn find_python_with_pip() -> Option<String> {
    let works = |name: &&&str| process::output(Command::new(name).args(["-m", "pip", "--version"])).is_ok();
    ["python3", "python", "py"]
        .iter()
        .find(works)
        .map(|&name| name.to_owned())
}

/// Installs Debian packages as root; tells anybody else what to type.
fn install(what: &str, packages: &[&str]) -> anyhow::Result<()> {
    let command = format!("apt-get install -y {}", packages.join(" "));
    if process::find_program(&["apt-get"]).is_none() {
        bail!("{what} is missing: install it with your system's package manager and try again");
    }
    if !is_root() {
        bail!("{what} is missing. Run this, then try again:\n\n    sudo {command}\n");
    }
    say::note(&format!("{what} is missing: {command}"));
    process::visible(Command::new("apt-get").arg("update"))?;
    process::visible(Command::new("apt-get").args(["install", "-y"]).args(packages))
}

fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
