use std::time::Duration;

use airunner_core::lifecycle::StateName;
use airunner_core::{ErrorKind, Fault};
use airunner_ipc_client::{Client, Endpoint, wait_for_end};
use airunner_platform::service::Service;
use clap::Args;
use serde_json::json;

use super::service;
use crate::connection::places;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::run::Context;

/// Far beyond any sensible grace time: only a daemon that hangs takes longer.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Cancel running requests instead of letting them finish.
    #[arg(long)]
    force: bool,
}

impl Stop {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let places = places()?;
        let endpoint = Endpoint::of_daemon(&places);
        let pid = match service::installed(&places).await? {
            Some((service, status))
                if service.ends_in_good_order() && (status.listening || status.running) =>
            {
                end_service(&service, status.pid, self.force, &context.output).await?;
                status.pid
            }
            Some(_) | None => {
                let client = Client::connect_to_any_version(&endpoint).await?;
                stop(&client, self.force, &context.output).await?;
                Some(client.hello().pid)
            }
        };
        if context.output.is_json() {
            return context.output.value(&json!({ "stopped": true, "pid": pid }));
        }
        context.output.line("AI Runner is stopped")
    }
}

/// Has the service manager end the daemon, so that it does not bring it back, and listen no more.
async fn end_service(
    service: &Service,
    pid: Option<u32>,
    force: bool,
    output: &Output,
) -> Result<(), Failure> {
    let _progress = Progress::spinner(output, "stopping the service");
    if force && pid.is_some() {
        hurry(service).await;
    }
    Ok(service.stop().await.map_err(Fault::from)?)
}

/// Cancels what the daemon is doing. One that cannot be reached is ended by its manager anyway.
pub(crate) async fn hurry(service: &Service) {
    let endpoint = Endpoint::of_daemon(&service.surroundings().places);
    if let Ok(client) = Client::connect_to_any_version(&endpoint).await {
        drop(client.control().shutdown(true).await);
    }
}

/// Ends the daemon and waits until its process is gone.
pub(crate) async fn stop(client: &Client, force: bool, output: &Output) -> Result<(), Failure> {
    // A daemon of another version may not be understood in everything; stopping it is.
    let busy = client.control().status().await.map_or(0, |status| {
        status
            .models
            .iter()
            .filter(|model| model.state == StateName::Busy)
            .count()
    });
    client.control().shutdown(force).await?;
    let what = match busy {
        0 => "stopping the daemon".to_owned(),
        _ if force => "cancelling what runs".to_owned(),
        models => format!("letting {models} busy models finish; --force cancels"),
    };
    let _progress = Progress::spinner(output, &what);
    let ended = tokio::time::timeout(PATIENCE, wait_for_end(client.hello().pid)).await;
    ended.map_err(|_| {
        let seconds = PATIENCE.as_secs();
        let message = format!("the daemon is still ending after {seconds} s: try airunner stop --force");
        Failure::from(Fault::new(ErrorKind::DeadlineExceeded, message))
    })
}
