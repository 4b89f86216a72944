//! From the command line to the exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind as UsageKind;

use crate::arguments::{Cli, Command};
use crate::environment::Environment;
use crate::failure::{Failure, code};
use crate::interrupt::Interrupt;
use crate::output::Output;

/// What every command is given.
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) interrupt: Interrupt,
    pub(crate) environment: Environment,
}

pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let environment = Environment::read();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // The flag is looked for by hand, because nothing was parsed.
            let json = arguments.iter().skip(1).any(|argument| argument == "--json");
            return refuse(&error, &Output::new(json, &environment));
        }
    };
    let output = Output::new(cli.json, &environment);
    match start(cli, environment, output.clone()) {
        Ok(()) => ExitCode::from(code::OK),
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn refuse(error: &clap::Error, output: &Output) -> ExitCode {
    let is_answer = matches!(error.kind(), UsageKind::DisplayHelp | UsageKind::DisplayVersion);
    if output.is_json() && !is_answer {
        let text = error.render().to_string();
        let text = text.trim_end();
        output.failure(&Failure::Usage(
            text.strip_prefix("error: ").unwrap_or(text).to_owned(),
        ));
    } else {
        // A terminal that is gone cannot be told.
        let _ = error.print();
    }
    ExitCode::from(if is_answer { code::OK } else { code::USAGE })
}

fn start(cli: Cli, environment: Environment, output: Output) -> Result<(), Failure> {
    // The second thread notices Ctrl-C while the first one is stuck writing to a full pipe.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Failure::internal)?;
    let result = runtime.block_on(async {
        let context = Context {
            output,
            interrupt: Interrupt::listen(),
            environment,
        };
        dispatch(cli.command, context).await
    });
    // A thread that waits for a line of input cannot be told to end.
    runtime.shutdown_background();
    result
}

async fn dispatch(command: Command, context: Context) -> Result<(), Failure> {
    let mut interrupt = context.interrupt.clone();
    let handles_interrupt = command.handles_interrupt();
    tokio::select! {
        biased;
        result = execute(command, &context) => result,
        () = interrupt.pressed(), if !handles_interrupt => Err(Failure::cancelled()),
    }
}

async fn execute(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Start(start) => start.run(context).await,
        Command::Stop(stop) => stop.run(context).await,
        Command::Restart(restart) => restart.run(context).await,
        Command::Status(status) => status.run(context).await,
        Command::Service(service) => service.run(context).await,
        Command::Models(models) => models.run(context).await,
        Command::Load(load) => load.run(context).await,
        Command::Unload(unload) => unload.run(context).await,
        Command::Ps(ps) => ps.run(context).await,
        Command::Memory(memory) => memory.run(context).await,
        Command::Free(free) => free.run(context).await,
        Command::Pause(pause) => pause.run(context).await,
        Command::Resume(resume) => resume.run(context).await,
        Command::Cancel(cancel) => cancel.run(context).await,
        Command::Hardware(hardware) => hardware.run(context).await,
        Command::Downloads(downloads) => downloads.run(context).await,
        Command::Keys(keys) => keys.run(context).await,
        Command::Notify(notify) => notify.run(context).await,
        Command::Settings(settings) => settings.run(context).await,
        Command::Stats(stats) => stats.run(context).await,
        Command::Chat(chat) => chat.run(context).await,
        Command::Bench(bench) => bench.run(context).await,
        Command::Doctor(doctor) => doctor.run(context).await,
        Command::Logs(logs) => logs.run(context).await,
        Command::Completions(completions) => completions.run(context),
        Command::Man(man) => man.run(context),
    }
}
