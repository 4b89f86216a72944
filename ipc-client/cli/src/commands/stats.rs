use std::time::{Duration, SystemTime};

use airunner_core::usage::UsageRequest;
use clap::Args;

use crate::connection::connect;
use crate::failure::Failure;
use crate::run::Context;
use crate::units;
use crate::views::{usage_rows, usage_table};

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Only what happened in the last such as 24h or 7d; everything if left out.
    #[arg(long, value_name = "T", value_parser = units::parse_duration)]
    since: Option<Duration>,
}

impl Stats {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let request = UsageRequest { within: self.since };
        let usage = connect().await?.models().usage(request).await?;
        if context.output.is_json() {
            return context.output.value(&usage_rows(&usage));
        }
        let table = usage_table(&usage, SystemTime::now());
        if table.is_empty() {
            return context.output.line(match self.since {
                Some(_) => "No model was used in that time.",
                None => "No model was used yet.",
            });
        }
        context.output.table(&table)
    }
}
