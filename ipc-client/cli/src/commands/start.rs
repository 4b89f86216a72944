use std::process::Stdio;

use airunner_core::{ErrorKind, Fault};
use airunner_ipc_client::{Client, DaemonWas, Starter};
use clap::Args;
use serde_json::json;

use super::first_run;
use crate::failure::{Failure, code};
use crate::output::Output;
use crate::progress::Progress;
use crate::run::Context;

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Stay attached to this terminal and end with it.
    #[arg(long)]
    foreground: bool,
}

impl Start {
    pub(crate) const fn is_attached(&self) -> bool {
        self.foreground
    }

    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let starter = Starter::from_environment()?;
        if self.foreground {
            return in_foreground(&starter, context).await;
        }
        first_run::ask(starter.places(), &context.output).await?;
        let (client, was) = start(&starter, &context.output).await?;
        report(&context.output, &client, was)
    }
}

pub(crate) async fn start(starter: &Starter, output: &Output) -> Result<(Client, DaemonWas), Failure> {
    let _progress = Progress::spinner(output, "starting the daemon");
    Ok(starter.connect_or_start().await?)
}

pub(crate) fn report(output: &Output, client: &Client, was: DaemonWas) -> Result<(), Failure> {
    let hello = client.hello();
    if output.is_json() {
        return output.value(&json!({
            "started": was == DaemonWas::Started,
            "pid": hello.pid,
            "version": hello.daemon_version,
            "socket": client.endpoint().to_string(),
        }));
    }
    let how = match was {
        DaemonWas::Started => "is running",
        DaemonWas::Running => "was running already",
    };
    output.line(&format!(
        "AI Runner {} {how} (process {})",
        hello.daemon_version, hello.pid
    ))
}

/// Ctrl-C reaches the daemon too, which ends in its own time; so it is only waited for here.
async fn in_foreground(starter: &Starter, context: &Context) -> Result<(), Failure> {
    let mut command = tokio::process::Command::new(starter.executable());
    command.arg("--foreground").stdin(Stdio::null());
    let mut daemon = command.spawn().map_err(|error| {
        let program = starter.executable().display();
        Fault::new(
            ErrorKind::NotFound,
            format!("cannot start {program}: {error}; is AI Runner installed?"),
        )
    })?;
    let mut interrupt = context.interrupt.clone();
    let status = loop {
        tokio::select! {
            status = daemon.wait() => break status.map_err(Failure::internal)?,
            () = interrupt.pressed() => interrupt.handled(),
        }
    };
    if status.success() {
        return Ok(());
    }
    Err(Failure::Reported(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(code::FAILED),
    ))
}
