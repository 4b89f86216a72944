use airunner_core::ErrorKind;
use airunner_ipc_client::{Client, Endpoint, Starter};
use clap::Args;

use super::{start, stop};
use crate::failure::Failure;
use crate::run::Context;

#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Cancel running requests instead of letting them finish.
    #[arg(long)]
    force: bool,
}

impl Restart {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let starter = Starter::from_environment()?;
        match Client::connect_to_any_version(&Endpoint::of_daemon(starter.places())).await {
            Ok(client) => stop::stop(&client, self.force, &context.output).await?,
            Err(fault) if fault.kind == ErrorKind::DaemonNotRunning => {}
            Err(fault) => return Err(fault.into()),
        }
        let (client, was) = start::start(&starter, &context.output).await?;
        start::report(&context.output, &client, was)
    }
}
