use clap::Args;
use serde_json::json;

use crate::connection::connect;
use crate::failure::Failure;
use crate::run::Context;

#[derive(Debug, Args)]
pub(crate) struct Resume {}

impl Resume {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let was_paused = connect().await?.control().resume().await?;
        if context.output.is_json() {
            return context.output.value(&json!({ "was_paused": was_paused }));
        }
        context.output.line(if was_paused {
            "Models are loaded and run again."
        } else {
            "It was not paused."
        })
    }
}
