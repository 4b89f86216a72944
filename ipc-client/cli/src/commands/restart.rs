use airunner_core::{ErrorKind, Fault};
use airunner_ipc_client::{Client, DaemonWas, Endpoint, Starter};
use clap::Args;

use super::{service, start, stop};
use crate::failure::Failure;
use crate::progress::Progress;
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
        if let Some((service, status)) = service::installed(starter.places()).await?
            && (status.running || status.listening)
            && service.ends_in_good_order()
        {
            let _progress = Progress::spinner(&context.output, "restarting the service");
            if self.force && status.running {
                stop::hurry(&service).await;
            }
            service.restart().await.map_err(Fault::from)?;
            let (client, _) = starter.connect_or_start().await?;
            return start::report(&context.output, &client, DaemonWas::Started);
        }
        match Client::connect_to_any_version(&Endpoint::of_daemon(starter.places())).await {
            Ok(client) => stop::stop(&client, self.force, &context.output).await?,
            Err(fault) if fault.kind == ErrorKind::DaemonNotRunning => {}
            Err(fault) => return Err(fault.into()),
        }
        let (client, was) = start::start(&starter, &context.output).await?;
        start::report(&context.output, &client, was)
    }
}
