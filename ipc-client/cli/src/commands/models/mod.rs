use clap::{Args, Subcommand};

use crate::connection::connect;
use crate::failure::Failure;
use crate::run::Context;
use crate::views::{model_rows, models_table};

mod import;
mod remove;
mod show;

#[derive(Debug, Args)]
pub(crate) struct Models {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the installed models, as does no command at all.
    List,
    /// Copy a directory into the model store.
    Import(import::Import),
    /// Show what is known of a model.
    Show(show::Show),
    /// Delete an unloaded model from disk.
    Remove(remove::Remove),
}

impl Models {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.action {
            Some(Action::List) | None => list(context).await,
            Some(Action::Import(import)) => import.run(context).await,
            Some(Action::Show(show)) => show.run(context).await,
            Some(Action::Remove(remove)) => remove.run(context).await,
        }
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let models = connect().await?.models().list().await?;
    if context.output.is_json() {
        return context.output.value(&model_rows(&models));
    }
    let table = models_table(&models);
    if table.is_empty() {
        return context
            .output
            .line("No model is installed. Install one with: airunner models import DIR");
    }
    context.output.table(&table)
}
