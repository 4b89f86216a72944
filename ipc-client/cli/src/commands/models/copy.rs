use airunner_core::ModelName;
use airunner_core::model::CopyRequest;
use clap::Args;
use serde_json::json;

use crate::connection::connect_for;
use crate::failure::Failure;
use crate::run::Context;

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The model's name, as in `airunner models`.
    source: String,
    /// How the second one shall be called.
    destination: String,
}

impl Copy {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (client, source) = connect_for(&self.source).await?;
        let destination = ModelName::new(&self.destination)?;
        let request = CopyRequest { source, destination };
        let copied = client.models().copy(request).await?;
        if context.output.is_json() {
            return context
                .output
                .value(&json!({ "copied": self.source, "name": copied.name.as_str() }));
        }
        context
            .output
            .line(&format!("{} is a copy of {}", copied.name, self.source))
    }
}
