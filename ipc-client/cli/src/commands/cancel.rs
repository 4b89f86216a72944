use airunner_core::activity::ActivityId;
use clap::Args;
use serde_json::json;

use crate::connection::connect;
use crate::failure::Failure;
use crate::run::Context;

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// Its number, as `airunner status` shows it.
    number: u64,
}

impl Cancel {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let id = ActivityId(self.number);
        connect().await?.control().cancel_activity(id).await?;
        if context.output.is_json() {
            return context.output.value(&json!({ "cancelled": self.number }));
        }
        context.output.line("It is given up and leaves nothing.")
    }
}
