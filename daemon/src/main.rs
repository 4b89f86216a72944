//! `airunnerd`: the daemon, or one of its helpers: `worker`, `prepack`, `quantize`, `settings`.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use airunner_core::Fault;
use airunner_daemon::app::SETTINGS;
use airunner_daemon::prepack::{PREPACK, PrepackArguments};
use airunner_daemon::quantize::{QUANTIZE, QuantizeArguments};
use airunner_daemon::worker::{WORKER, WorkerArguments};
use airunner_daemon::{app, prepack, quantize, worker};
use airunner_platform::child;

const HELP: &str = "\
The AI Runner daemon: one per user, used through `airunner` and other clients.

Usage: airunnerd [--foreground]

It stays in the foreground and writes its log to the state directory only; `airunner start` runs
it in the background. Settings come from config.toml and AIRUNNER_* variables.

      --foreground  write the log to standard error as well
  -V, --version     print the version
  -h, --help        print this help
";

/// File work that hangs does not hold up the end any longer than this.
const LAST_RESORT: Duration = Duration::from_millis(500);
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next();
    if [WORKER, PREPACK, SETTINGS, QUANTIZE]
        .iter()
        .any(|helper| first.as_deref() == Some(helper.as_ref()))
    {
        child::close_inherited();
    }
    let outcome = match first
        .as_ref()
        .map(|argument| argument.to_string_lossy())
        .as_deref()
    {
        Some(WORKER) => WorkerArguments::parse(arguments).and_then(worker::run),
        Some(PREPACK) => PrepackArguments::parse(arguments).and_then(prepack::run),
        Some(SETTINGS) => app::answer_about_settings(),
        Some(QUANTIZE) => QuantizeArguments::parse(arguments).and_then(quantize::run),
        None => daemon(false),
        Some("--foreground") => daemon(true),
        Some("--version" | "-V") => return print(&format!("airunnerd {}\n", env!("CARGO_PKG_VERSION"))),
        Some("--help" | "-h") => return print(HELP),
        Some(_) => return refuse(&first.unwrap_or_default()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => complain(&format!("airunnerd: {fault}\n"), ExitCode::FAILURE),
    }
}

fn daemon(foreground: bool) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Fault::internal(format!("cannot start the event loop: {error}")))?;
    let outcome = runtime.block_on(async { tokio::spawn(app::run(foreground)).await });
    runtime.shutdown_timeout(LAST_RESORT);
    outcome.unwrap_or_else(|error| Err(Fault::internal(format!("the daemon failed: {error}"))))
}

fn print(text: &str) -> ExitCode {
    let printed = std::io::stdout().write_all(text.as_bytes());
    printed.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn refuse(argument: &OsString) -> ExitCode {
    let argument = argument.to_string_lossy();
    complain(
        &format!("airunnerd: {argument} is not understood\n\n{HELP}"),
        ExitCode::from(USAGE),
    )
}

/// Whoever closed standard error does not want to know.
fn complain(text: &str, code: ExitCode) -> ExitCode {
    drop(std::io::stderr().write_all(text.as_bytes()));
    code
}
