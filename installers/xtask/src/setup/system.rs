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

/// A Python that makes environments of its own, which Debian has in a package of its own.
pub(super) fn python_with_environments() -> anyhow::Result<String> {
    let python = python_with_pip()?;
    let works = || process::output(Command::new(&python).args(["-c", "import ensurepip, venv"])).is_ok();
    if !works() {
        install("Python's venv", &["python3-venv"])?;
    }
    if works() {
        Ok(python)
    } else {
        bail!("`{python} -c 'import ensurepip, venv'` still fails although the package is installed")
    }
}

/// Node.js with its package manager.
pub(super) fn npm() -> anyhow::Result<String> {
    let find = || {
        let node = process::find_program(&["node"]);
        node.and_then(|_| process::find_program(&["npm", "npm.cmd"]))
    };
    if let Some(npm) = find() {
        return Ok(npm);
    }
    install("Node.js with npm", &["nodejs", "npm"])?;
    match find() {
        Some(npm) => Ok(npm),
        None => bail!("node and npm are not on the search path although their packages are installed"),
    }
}

/// A browser that works without a screen, for the documentation of the HTTP API.
pub(super) fn require_browser() -> anyhow::Result<()> {
    const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
    if process::find_program(&BROWSERS).is_some() {
        return Ok(());
    }
    install("Chromium", &["chromium"])?;
    if process::find_program(&BROWSERS).is_none() {
        bail!("no Chromium is on the search path although its package is installed");
    }
    Ok(())
}

/// A program that a task starts, and the Debian package that brings it.
pub(crate) type Tool = (&'static str, &'static str);

/// Makes sure that all of these programs are there.
pub(crate) fn require_tools(what: &str, tools: &[Tool]) -> anyhow::Result<()> {
    let absent = missing(tools);
    if absent.is_empty() {
        return Ok(());
    }
    install(what, &absent)?;
    let still = missing(tools);
    if !still.is_empty() {
        bail!(
            "programs of {} are not on the search path although they are installed",
            still.join(", ")
        );
    }
    Ok(())
}

/// Packages of those programs that are not there.
pub(super) fn missing(tools: &[Tool]) -> Vec<&'static str> {
    let is_missing = |tool: &&Tool| process::find_program(&[tool.0]).is_none();
    tools.iter().filter(is_missing).map(|tool| tool.1).collect()
}

/// Whether what is missing can be installed without asking anybody.
pub(super) fn can_install() -> bool {
    process::find_program(&["apt-get"]).is_some() && is_root()
}

/// Installs Debian packages as root; tells anybody else what to type.
pub(super) fn install(what: &str, packages: &[&str]) -> anyhow::Result<()> {
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
