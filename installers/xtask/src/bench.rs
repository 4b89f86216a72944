//! The figures of this machine, as tables to compare with the bars.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::workspace::Workspace;
use crate::{process, release, say, setup};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// A package in ONNX Runtime GenAI layout whose graph shares past and present buffers; without
    /// one, only what needs no model is measured
    #[arg(long, value_name = "DIRECTORY")]
    package: Option<PathBuf>,
    /// How often each figure is measured, alternating with what it is compared with
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Measure only these
    #[arg(value_name = "BENCHMARK", value_parser = BENCHMARKS)]
    only: Vec<String>,
}

/// All of them, in the order they run.
const BENCHMARKS: [&str; 6] = [
    "residency",
    "downloads",
    "http",
    "foundation",
    "swapping",
    "memory",
];
/// Those that load a model.
const WITH_A_MODEL: [&str; 3] = ["foundation", "swapping", "memory"];

/// Sets up, builds everything as it is shipped, and measures.
pub(crate) fn bench(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let package = options.package.as_deref().map(checked).transpose()?;
    let wanted = |name: &&str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let able = |name: &&str| package.is_some() || !WITH_A_MODEL.contains(name);
    let benchmarks: Vec<&str> = BENCHMARKS.into_iter().filter(wanted).filter(able).collect();
    if benchmarks.is_empty() {
        bail!("nothing to measure: what was named needs --package");
    }
    setup::all(workspace)?;
    release::build(workspace)?;
    for benchmark in benchmarks {
        say::step(&format!("measuring {benchmark}: leave the machine alone"));
        let arguments = arguments(workspace, benchmark, package.as_deref(), options.rounds)?;
        let mut command = workspace.cargo(&["bench", "-p", "airunner-tests", "--bench", benchmark, "--"]);
        process::visible(command.args(arguments))?;
    }
    Ok(())
}

fn checked(package: &Path) -> anyhow::Result<PathBuf> {
    let package = std::path::absolute(package).context("there is no current directory")?;
    if !package.join("genai_config.json").is_file() {
        bail!(
            "{} is no package in ONNX Runtime GenAI layout: it has no genai_config.json",
            package.display()
        );
    }
    Ok(package)
}

fn arguments(
    workspace: &Workspace,
    benchmark: &str,
    package: Option<&Path>,
    rounds: u32,
) -> anyhow::Result<Vec<OsString>> {
    let mut arguments = Vec::new();
    if benchmark == "http" {
        // It has the built-in model where none is named.
        if let Some(package) = package {
            arguments.extend(["--package".into(), package.as_os_str().to_owned()]);
        }
        arguments.extend(["--rounds".into(), rounds.to_string().into()]);
    }
    if let Some(package) = package.filter(|_| WITH_A_MODEL.contains(&benchmark)) {
        arguments.extend(["--package".into(), package.as_os_str().to_owned()]);
        if benchmark == "memory" {
            let copies = workspace.target.join("bench-copies");
            arguments.extend(["--copies".into(), copies.into_os_string()]);
        } else {
            arguments.extend(["--rounds".into(), rounds.to_string().into()]);
        }
    }
    if benchmark == "foundation" {
        say::step("building the bare loop (release)");
        let build = [
            "build",
            "--release",
            "-p",
            "airunner-runtimes",
            "--example",
            "bare_loop",
        ];
        process::visible(&mut workspace.cargo(&build))?;
        let bare_loop = format!("release/examples/bare_loop{}", std::env::consts::EXE_SUFFIX);
        arguments.extend([
            "--bare-loop".into(),
            workspace.target.join(bare_loop).into_os_string(),
        ]);
    }
    Ok(arguments)
}
