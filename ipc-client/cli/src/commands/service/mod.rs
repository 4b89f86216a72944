use std::path::PathBuf;

use airunner_core::Fault;
use airunner_ipc_client::{Client, Endpoint, Places};
use airunner_platform::Installation;
use airunner_platform::service::{self, Options, Service as Managed, Status};
use clap::{Args, Subcommand};
use serde_json::json;

mod print;

use print::Print;

use super::stop;
use crate::failure::{Failure, code};
use crate::output::Output;
use crate::progress::Progress;
use crate::run::Context;
use crate::views::{InstalledView, ServiceView, service_lines};

const DAEMON: &str = "airunnerd";

#[derive(Debug, Args)]
pub(crate) struct Service {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the daemon a service of your account; nothing starts at login unless you say so.
    Install(Install),
    /// Stop the service and remove it; models, settings and data stay.
    Uninstall,
    /// Show what the system says of the service. Exit code 3 if it does not run.
    Status,
    /// Print the file that describes the service, as a package would bring it.
    Print(Print),
}

#[derive(Debug, Args)]
struct Install {
    /// Start it now; a daemon that runs already is ended in good order first.
    #[arg(long)]
    now: bool,
    /// Start it whenever you log in.
    #[arg(long)]
    enable: bool,
    /// Replace files that were changed by hand; they are kept beside the new ones as .old.
    #[arg(long)]
    replace: bool,
}

impl Service {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.action {
            Action::Install(install) => install.run(&context.output).await,
            Action::Uninstall => uninstall(&context.output).await,
            Action::Status => status(&context.output).await,
            Action::Print(print) => print.run(&context.output),
        }
    }
}

/// The service that is installed for these places, and what the system says of it.
pub(crate) async fn installed(places: &Places) -> Result<Option<(Managed, Status)>, Failure> {
    let Some(service) = Managed::of_this_user().ok() else {
        return Ok(None);
    };
    if service.surroundings().places != *places {
        return Ok(None);
    }
    let status = service.installed().await.map_err(Fault::from)?;
    Ok(status.map(|status| (service, status)))
}

impl Install {
    async fn run(self, output: &Output) -> Result<(), Failure> {
        let service = Managed::of_this_user().map_err(Fault::from)?;
        let options = Options {
            executable: daemon()?,
            enable: self.enable,
            now: false,
            replace: self.replace,
        };
        let installed = service.install(&options).await.map_err(Fault::from)?;
        if self.now {
            hand_over(&service, output).await?;
            let _progress = Progress::spinner(output, "starting the service");
            service.start().await.map_err(Fault::from)?;
        }
        let status = service.status().await.map_err(Fault::from)?;
        let view = InstalledView::new(&installed, &status);
        if output.is_json() {
            return output.value(&view);
        }
        view.lines().iter().try_for_each(|line| output.line(line))
    }
}

/// The daemon beside this program.
fn daemon() -> Result<PathBuf, Failure> {
    let installation = Installation::locate().map_err(Failure::internal)?;
    let daemon = installation.program(DAEMON);
    if daemon.is_file() {
        return Ok(daemon);
    }
    let missing = format!("{} is missing: install AI Runner again", daemon.display());
    Err(Fault::new(airunner_core::ErrorKind::NotFound, missing).into())
}

/// Ends a daemon that was started by hand: two cannot be.
async fn hand_over(service: &Managed, output: &Output) -> Result<(), Failure> {
    let places = &service.surroundings().places;
    let Ok(client) = Client::connect_to_any_version(&Endpoint::of_daemon(places)).await else {
        return Ok(());
    };
    let status = service.status().await.map_err(Fault::from)?;
    if status.pid == Some(client.hello().pid) {
        return Ok(());
    }
    stop::stop(&client, false, output).await
}

async fn uninstall(output: &Output) -> Result<(), Failure> {
    // The tray's entry goes even where nobody starts services.
    service::login::set(false).await?;
    let removed = service::uninstall().await?;
    if output.is_json() {
        return output.value(&json!({ "installed": false, "removed": removed }));
    }
    if removed.is_empty() {
        return output.line("AI Runner is no service of your account, and does not start when you log in");
    }
    output.line("The service is stopped and removed; models, settings and data are where they were")
}

async fn status(output: &Output) -> Result<(), Failure> {
    let status = service::status().await?;
    if output.is_json() {
        output.value(&ServiceView::new(&status))?;
    } else {
        service_lines(&status)
            .iter()
            .try_for_each(|line| output.line(line))?;
    }
    if status.running {
        Ok(())
    } else {
        Err(Failure::Reported(code::NOT_RUNNING))
    }
}
