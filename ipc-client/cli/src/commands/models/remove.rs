use clap::Args;
use serde_json::json;

use crate::connection::connect_for;
use crate::failure::Failure;
use crate::run::Context;

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The model's name, as in `airunner models`.
    name: String,
}

impl Remove {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (client, name) = connect_for(&self.name).await?;
        client.models().remove(name.clone()).await?;
        if context.output.is_json() {
            return context.output.value(&json!({ "removed": name.as_str() }));
        }
        context.output.line(&format!("{name} is removed"))
    }
}
