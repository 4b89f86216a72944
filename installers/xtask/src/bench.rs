//! The figures of this machine, as a table to compare with the bars.

use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::workspace::Workspace;
use crate::{process, release, say, setup};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// A package in ONNX Runtime GenAI layout whose graph shares past and present buffers
    #[arg(long, value_name = "DIRECTORY")]
    package: PathBuf,
    /// How often each figure is measured, alternating with what it is compared with
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// Sets up, builds everything as it is shipped, and measures.
pub(crate) fn bench(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let package = std::path::absolute(&options.package).context("there is no current directory")?;
    if !package.join("genai_config.json").is_file() {
        bail!(
            "{} is no package in ONNX Runtime GenAI layout: it has no genai_config.json",
            package.display()
        );
    }
    setup::all(workspace)?;
    release::build(workspace)?;
    say::step("building the bare loop (release)");
    process::visible(&mut workspace.cargo(&[
        "build",
        "--release",
        "-p",
        "airunner-runtimes",
        "--example",
        "bare_loop",
    ]))?;
    say::step("measuring: leave the machine alone");
    let bare_loop = format!("release/examples/bare_loop{}", std::env::consts::EXE_SUFFIX);
    let mut command = workspace.cargo(&["bench", "-p", "airunner-tests", "--bench", "foundation", "--"]);
    command
        .arg("--package")
        .arg(package)
        .arg("--bare-loop")
        .arg(workspace.target.join(bare_loop));
    process::visible(command.args(["--rounds", &options.rounds.to_string()]))
}
