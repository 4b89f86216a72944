//! Every test of the workspace, built once.

use crate::workspace::Workspace;
use crate::{process, say, setup};

/// Sets up, builds and runs the tests; `arguments` go to `cargo test`.
pub(crate) fn test(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    setup::all(workspace)?;
    if !selects_packages(arguments) || selects(arguments, "airunner-tests") {
        setup::clients(workspace)?;
        setup::desktop()?;
        setup::machines()?;
    }
    say::timed("build", || build(workspace))?;
    say::timed("tests", || run(workspace, arguments))
}

/// The scenarios start the programs of this build, so these are built as well; together with
/// the tests, because features are unified over everything in one command and the second
/// command then finds nothing left to compile.
fn build(workspace: &Workspace) -> anyhow::Result<()> {
    say::step("building programs and tests");
    process::visible(&mut workspace.cargo(&[
        "build",
        "--workspace",
        "--lib",
        "--bins",
        "--tests",
        "--examples",
    ]))
}

fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    let mut command = workspace.cargo(&["test", "--no-fail-fast"]);
    if !selects_packages(arguments) {
        command.arg("--workspace");
    }
    process::visible(command.args(arguments))
}

fn selects_packages(arguments: &[String]) -> bool {
    of_cargo(arguments).any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

fn selects(arguments: &[String], package: &str) -> bool {
    of_cargo(arguments).any(|argument| argument.ends_with(package))
}

/// What is not for the test programs themselves.
fn of_cargo(arguments: &[String]) -> impl Iterator<Item = &String> {
    arguments.iter().take_while(|argument| *argument != "--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_replaces_the_workspace() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(selects_packages(&words("-p airunner-core lifecycle")));
        assert!(selects_packages(&words("--package=airunner-core")));
        assert!(!selects_packages(&words("lifecycle -- --nocapture -p")));
        assert!(!selects_packages(&[]));
        assert!(selects(&words("-p airunner-tests --test http"), "airunner-tests"));
        assert!(!selects(
            &words("-p airunner-core -- airunner-tests"),
            "airunner-tests"
        ));
    }
}
