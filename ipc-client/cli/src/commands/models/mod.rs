use clap::{Args, Subcommand};

use crate::connection::connect;
use crate::failure::Failure;
use crate::run::Context;
use crate::views::{model_rows, models_table};

mod catalog;
mod copy;
mod estimate;
mod import;
mod pull;
mod quantize;
mod remove;
mod show;
mod verify;

#[derive(Debug, Args)]
pub(crate) struct Models {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the installed models, as does no command at all.
    List,
    /// List models that can be pulled, and which precision fits here. Needs no network.
    Catalog(catalog::Catalog),
    /// Fetch a model from the hub. Ctrl-C pauses; the same command again goes on.
    Pull(pull::Pull),
    /// Copy a directory into the model store, or link it.
    Import(import::Import),
    /// Make a smaller, faster model of one of full precision, and tell what it lost.
    Quantize(quantize::Quantize),
    /// Show what is known of a model.
    Show(show::Show),
    /// Show how much memory a model would take and what would have to go. Loads nothing.
    Estimate(estimate::Estimate),
    /// Compare every file of a model with what was published.
    Verify(verify::Verify),
    /// Fetch again what is damaged or missing.
    Repair(verify::Repair),
    /// Make a second model of the same files, which take no more room.
    Copy(copy::Copy),
    /// Delete an unloaded model from disk.
    Remove(remove::Remove),
}

impl Models {
    pub(crate) const fn handles_interrupt(&self) -> bool {
        matches!(self.action, Some(Action::Pull(_)))
    }

    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.action {
            Some(Action::List) | None => list(context).await,
            Some(Action::Catalog(catalog)) => catalog.run(context).await,
            Some(Action::Pull(pull)) => pull.run(context).await,
            Some(Action::Import(import)) => import.run(context).await,
            Some(Action::Quantize(quantize)) => quantize.run(context).await,
            Some(Action::Show(show)) => show.run(context).await,
            Some(Action::Estimate(estimate)) => estimate.run(context).await,
            Some(Action::Verify(verify)) => verify.run(context).await,
            Some(Action::Repair(repair)) => repair.run(context).await,
            Some(Action::Copy(copy)) => copy.run(context).await,
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
            .line("No model is installed. See what there is with: airunner models catalog");
    }
    context.output.table(&table)
}
