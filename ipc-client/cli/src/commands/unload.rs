use airunner_core::model::UnloadRequest;
use clap::Args;
use serde_json::json;

use crate::connection::connect_for;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::Context;

#[derive(Debug, Args)]
pub(crate) struct Unload {
    /// The model's name, as in `airunner ps`.
    name: String,
    /// Cancel its running requests instead of waiting for them.
    #[arg(long)]
    force: bool,
}

impl Unload {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (client, name) = connect_for(&self.name).await?;
        let request = UnloadRequest {
            name: name.clone(),
            force: self.force,
        };
        let was_loaded = {
            let _progress = Progress::spinner(&context.output, "waiting until its memory is back");
            client.models().unload(request).await?
        };
        if context.output.is_json() {
            return context
                .output
                .value(&json!({ "model": name.as_str(), "was_loaded": was_loaded }));
        }
        let how = if was_loaded {
            "is unloaded"
        } else {
            "was not loaded"
        };
        context.output.line(&format!("{name} {how}"))
    }
}
