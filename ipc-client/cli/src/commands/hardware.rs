use clap::Args;

use crate::connection::connect;
use crate::failure::Failure;
use crate::output::Style;
use crate::progress::Progress;
use crate::run::Context;
use crate::views::{HardwareView, gpus_table, hardware_lines};

#[derive(Debug, Args)]
pub(crate) struct Hardware {}

impl Hardware {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let output = &context.output;
        let client = connect().await?.hardware();
        let (hardware, memory) = {
            let _progress = Progress::spinner(output, "asking the system and the drivers");
            (client.profile().await?, client.memory().await?)
        };
        if output.is_json() {
            return output.value(&HardwareView::new(&hardware, &memory));
        }
        for (name, value) in hardware_lines(&hardware, &memory) {
            output.line(&format!("{name:<13} {value}"))?;
        }
        let gpus = gpus_table(&hardware, &memory);
        if gpus.is_empty() {
            output.line(&format!("{:<13} none", "GPU"))?;
        } else {
            output.line("")?;
            output.table(&gpus)?;
        }
        for note in &hardware.notes {
            output.pieces(&[(Style::Yellow, "note: "), (Style::Plain, note)])?;
        }
        Ok(())
    }
}
