//! The figures of this machine, as tables to compare with the bars.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::workspace::Workspace;
use crate::{process, release, say, setup};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// A package in ONNX Runtime GenAI layout whose graph shares past and present buffers; without
    /// one, only what needs no model is measured, or what makes its own
    #[arg(long, value_name = "DIRECTORY")]
    package: Option<PathBuf>,
    /// How often each figure is measured, alternating with what it is compared with
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Of `llm`, one short round, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Of `llm`, measure only this: speed, arrivals, reuse, context, schema or memory; can be given again
    #[arg(long = "part", value_name = "PART")]
    parts: Vec<String>,
    /// Measure only these; llm is measured only if it is named
    #[arg(value_name = "BENCHMARK", value_parser = BENCHMARKS)]
    only: Vec<String>,
}

/// All of them, in the order they run.
const BENCHMARKS: [&str; 8] = [
    "residency",
    "downloads",
    "http",
    "foundation",
    "swapping",
    "memory",
    TRAY,
    LLM,
];
/// Those that load a model, and make none themselves.
const WITH_A_MODEL: [&str; 3] = ["foundation", "swapping", "memory"];
/// Needs a session bus of its own, which not every system has.
const TRAY: &str = "tray";
/// Compares with llama.cpp, which takes long to set up.
const LLM: &str = "llm";
/// What it measures if no package is named.
const SHAPES: [&str; 2] = ["llama-1b", "qwen2.5-0.5b"];
/// A model whose own time hardly counts.
const SMALL: &str = "small";

/// Sets up, builds everything as it is shipped, and measures.
pub(crate) fn bench(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let package = options.package.as_deref().map(checked).transpose()?;
    let wanted = |name: &&str| {
        options.only.iter().any(|only| only == name) || (options.only.is_empty() && *name != LLM)
    };
    let able = |name: &&str| package.is_some() || !WITH_A_MODEL.contains(name);
    let benchmarks: Vec<&str> = BENCHMARKS.into_iter().filter(wanted).filter(able).collect();
    if benchmarks.is_empty() {
        bail!("nothing to measure: what was named needs --package");
    }
    setup::all(workspace)?;
    if benchmarks.contains(&TRAY) {
        setup::desktop()?;
    }
    release::build(workspace)?;
    for benchmark in benchmarks {
        for arguments in runs(workspace, benchmark, package.as_deref(), options)? {
            say::step(&format!("measuring {benchmark}: leave the machine alone"));
            let mut command = workspace.cargo(&["bench", "-p", "airunner-tests", "--bench", benchmark, "--"]);
            process::visible(command.args(arguments))?;
        }
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

/// The arguments of each run of a benchmark.
fn runs(
    workspace: &Workspace,
    benchmark: &str,
    package: Option<&Path>,
    options: &Options,
) -> anyhow::Result<Vec<Vec<OsString>>> {
    let rounds = || ["--rounds".into(), options.rounds.to_string().into()];
    let of_package = |package: &Path| ["--package".into(), package.as_os_str().to_owned()];
    let package_or =
        |shape: &str| package.map_or_else(|| setup::package(workspace, shape), |named| Ok(named.to_owned()));
    let mut arguments: Vec<OsString> = Vec::new();
    match (benchmark, package) {
        (LLM, Some(package)) => return Ok(vec![language_model(workspace, package, options)?]),
        (LLM, None) => {
            let measured = |shape| language_model(workspace, &setup::package(workspace, shape)?, options);
            return SHAPES.into_iter().map(measured).collect();
        }
        (TRAY, _) => arguments.extend(rounds()),
        ("http", _) => {
            arguments.extend(of_package(&package_or(SMALL)?));
            arguments.extend(rounds());
        }
        ("memory", Some(package)) => {
            let copies = workspace.target.join("bench-copies");
            arguments.extend(of_package(package));
            arguments.extend(["--copies".into(), copies.into_os_string()]);
        }
        ("swapping", Some(package)) => {
            arguments.extend(of_package(package));
            arguments.extend(rounds());
        }
        ("foundation", Some(package)) => {
            arguments.extend(of_package(package));
            arguments.extend(rounds());
            arguments.extend(["--bare-loop".into(), bare_loop(workspace)?]);
        }
        _ => {}
    }
    Ok(vec![arguments])
}

fn language_model(workspace: &Workspace, package: &Path, options: &Options) -> anyhow::Result<Vec<OsString>> {
    let python = setup::llama_cpp(workspace)?;
    let name = package.file_name().context("the package has no name")?;
    let models = setup::kept(workspace).join("gguf").join(name);
    let mut arguments: Vec<OsString> = vec![
        "--package".into(),
        package.into(),
        "--python".into(),
        python.into(),
        "--bare-loop".into(),
        bare_loop(workspace)?,
        "--models".into(),
        models.into(),
        "--rounds".into(),
        options.rounds.to_string().into(),
    ];
    if options.quick {
        arguments.push("--quick".into());
    }
    for part in &options.parts {
        arguments.extend(["--part".into(), part.into()]);
    }
    Ok(arguments)
}

/// The yardstick, built.
fn bare_loop(workspace: &Workspace) -> anyhow::Result<OsString> {
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
    Ok(workspace.target.join(bare_loop).into_os_string())
}
