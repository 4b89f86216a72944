use std::time::{Duration, SystemTime};

use airunner_core::pause::{PauseRequest, Paused};
use clap::Args;

use crate::connection::connect;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::run::Context;
use crate::units;
use crate::views::{PausedView, pause_line};

#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// End it by itself after such as 90m, 1h or 1d; otherwise only `airunner resume` does.
    #[arg(long = "for", value_name = "T", value_parser = length)]
    length: Option<Duration>,
    /// Cancel running requests instead of letting them finish.
    #[arg(long)]
    force: bool,
}

fn length(text: &str) -> Result<Duration, String> {
    let length = units::parse_duration(text).map_err(|error| error.to_string())?;
    let request = PauseRequest {
        length: Some(length),
        force: false,
    };
    request.check().map(|()| length).map_err(|fault| fault.message)
}

impl Pause {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = connect().await?.control();
        let request = PauseRequest {
            length: self.length,
            force: self.force,
        };
        let paused = {
            let _progress = Progress::spinner(&context.output, "waiting until the memory is back");
            client.pause(request).await?
        };
        if context.output.is_json() {
            return context.output.value(&PausedView::from(&paused));
        }
        print(&context.output, &paused)
    }
}

fn print(output: &Output, paused: &Paused) -> Result<(), Failure> {
    let names = |names: &[airunner_core::ModelName]| {
        let names: Vec<&str> = names.iter().map(airunner_core::ModelName::as_str).collect();
        names.join(", ")
    };
    output.line(&pause_line(&paused.pause, SystemTime::now()))?;
    if !paused.unloaded.is_empty() {
        let size = units::size(paused.freed_bytes);
        output.line(&format!("{size} is back: {} unloaded", names(&paused.unloaded)))?;
    }
    if !paused.finishing.is_empty() {
        output.line(&format!(
            "{} finishes its answers first and is unloaded then; --force does not wait.",
            names(&paused.finishing)
        ))?;
    }
    Ok(())
}
