//! `cargo xtask`: set-up, run, test, lint, packages and continuous integration in one small program.
//!
//! It starts the tools a developer would start by hand and says which; it holds no
//! product code.

mod bench;
mod ci;
mod lint;
mod package;
mod process;
mod release;
mod run;
mod say;
mod setup;
mod signals;
mod test;
mod wheel;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use workspace::Workspace;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Set up, run, test, check and package AI Runner",
    version
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch ONNX Runtime and the clients for tests, and put the built-in models where the programs
    /// look for them
    Setup,
    /// Build, start a daemon on a private home and chat with the built-in model
    Run,
    /// Build and run every test
    Test {
        /// Passed to `cargo test`, such as a crate (`-p airunner-core`) or a filter
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check format, lints, documentation, dependencies, layering and other platforms
    Lint {
        /// Only these checks, by name; `--list` names them
        checks: Vec<String>,
        /// Name the checks and stop
        #[arg(long)]
        list: bool,
    },
    /// Compare client, daemon and worker with a bare ONNX Runtime loop, and print the figures
    Bench(bench::Options),
    /// Build a release and make a package of it; the last line of output is its path
    Package(package::Options),
    /// Everything continuous integration runs: lint, then test
    Ci,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match carry_out(arguments.task) {
        Ok(code) => code,
        Err(error) => {
            say::failure(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn carry_out(task: Task) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::find()?;
    match task {
        Task::Setup => {
            setup::all(&workspace)?;
            setup::clients(&workspace)?;
        }
        Task::Run => return run::run(&workspace),
        Task::Test { arguments } => test::test(&workspace, &arguments)?,
        Task::Lint { list: true, .. } => lint::list(),
        Task::Lint { checks, list: false } => lint::lint(&workspace, &checks)?,
        Task::Bench(options) => bench::bench(&workspace, &options)?,
        Task::Package(options) => package::package(&workspace, &options)?,
        Task::Ci => ci::ci(&workspace)?,
    }
    Ok(ExitCode::SUCCESS)
}
