use std::time::SystemTime;

use clap::Args;

use crate::connection::connect;
use crate::failure::Failure;
use crate::run::Context;
use crate::views::{process_rows, processes_table};

#[derive(Debug, Args)]
pub(crate) struct Ps {}

impl Ps {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let models = connect().await?.models().list().await?;
        if context.output.is_json() {
            return context.output.value(&process_rows(&models));
        }
        let table = processes_table(&models, SystemTime::now());
        if table.is_empty() {
            return context
                .output
                .line("No model is in memory. Load one with: airunner load NAME");
        }
        context.output.table(&table)
    }
}
