use airunner_core::memory::FreeRequest;
use clap::Args;

use crate::connection::connect;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::Context;
use crate::units;
use crate::views::FreedView;

#[derive(Debug, Args)]
pub(crate) struct Free {
    /// Unload pinned models too.
    #[arg(long)]
    pinned: bool,
}

impl Free {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = connect().await?.hardware();
        let request = FreeRequest { pinned: self.pinned };
        let freed = {
            let _progress = Progress::spinner(&context.output, "waiting until the memory is back");
            client.free(request).await?
        };
        if context.output.is_json() {
            return context.output.value(&FreedView::from(&freed));
        }
        if freed.unloaded.is_empty() {
            return context.output.line(if self.pinned {
                "Nothing is idle in memory."
            } else {
                "Nothing is idle in memory that is not pinned. With --pinned, pinned models go too."
            });
        }
        let names: Vec<String> = freed.unloaded.iter().map(ToString::to_string).collect();
        context.output.line(&format!(
            "{} is back: {} unloaded",
            units::size(freed.freed_bytes),
            names.join(", ")
        ))
    }
}
