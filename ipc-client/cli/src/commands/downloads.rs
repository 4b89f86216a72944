use airunner_core::download::DownloadId;
use clap::{Args, Subcommand};

use crate::connection::connect;
use crate::failure::Failure;
use crate::run::Context;
use crate::views::{DownloadRow, download_rows, downloads_table};

#[derive(Debug, Args)]
pub(crate) struct Downloads {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List downloads under way and those that ended lately, as does no command at all.
    List,
    /// Stop a download and keep what is here.
    Pause(One),
    /// Go on with a download.
    Resume(One),
    /// Stop a download and delete what is here.
    Cancel(One),
}

#[derive(Debug, Args)]
struct One {
    /// Its number, as in `airunner downloads`.
    id: u64,
}

impl Downloads {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = connect().await?.downloads();
        let download = match self.action {
            None | Some(Action::List) => return list(&client, context).await,
            Some(Action::Pause(one)) => client.pause(DownloadId(one.id)).await?,
            Some(Action::Resume(one)) => client.resume(DownloadId(one.id)).await?,
            Some(Action::Cancel(one)) => client.cancel(DownloadId(one.id)).await?,
        };
        if context.output.is_json() {
            return context.output.value(&DownloadRow::from(&download));
        }
        let (name, state) = (&download.name, download.state.as_str());
        context
            .output
            .line(&format!("The download of {name} is {state}."))
    }
}

async fn list(client: &airunner_ipc_client::Downloads, context: &Context) -> Result<(), Failure> {
    let downloads = client.list().await?;
    if context.output.is_json() {
        return context.output.value(&download_rows(&downloads));
    }
    let table = downloads_table(&downloads);
    if table.is_empty() {
        return context
            .output
            .line("Nothing is being downloaded. Fetch a model with: airunner models pull NAME");
    }
    context.output.table(&table)
}
