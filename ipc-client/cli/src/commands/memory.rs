use airunner_core::memory::{Budget, BudgetChange, DeviceClass, MemoryBreakdown};
use clap::{Args, Subcommand};

use crate::connection::connect;
use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::progress::Progress;
use crate::run::Context;
use crate::value;
use crate::views::{MemoryView, memory_lines};

#[derive(Debug, Args)]
pub(crate) struct Memory {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Change how much memory models may have, at once and in the settings file.
    Budget(SetBudget),
}

#[derive(Debug, Args)]
struct SetBudget {
    /// Main memory, or every GPU.
    #[arg(value_parser = value::device_class())]
    device: DeviceClass,
    /// A size such as 2GiB, or a share such as 80%.
    #[arg(value_name = "SIZE")]
    budget: Budget,
}

impl Memory {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = connect().await?.hardware();
        let Some(Action::Budget(SetBudget { device, budget })) = self.action else {
            return show(&context.output, &client.memory().await?);
        };
        let mut devices = {
            let _progress = Progress::spinner(&context.output, "changing the budget");
            client.set_budget(BudgetChange { device, budget }).await?
        };
        if context.output.is_json() {
            return context.output.value(&MemoryView::from(&devices[..]));
        }
        devices.retain(|parts| DeviceClass::from(parts.device) == device);
        context.output.line(&format!("The budget is {budget}."))?;
        if devices.is_empty() {
            return context.output.line("There is no such device in this machine.");
        }
        show(&context.output, &devices)
    }
}

fn show(output: &Output, devices: &[MemoryBreakdown]) -> Result<(), Failure> {
    if output.is_json() {
        return output.value(&MemoryView::from(devices));
    }
    for (index, parts) in devices.iter().enumerate() {
        if index > 0 {
            output.line("")?;
        }
        for (line, text) in memory_lines(parts).iter().enumerate() {
            let style = if line == 0 { Style::Bold } else { Style::Plain };
            output.pieces(&[(style, text)])?;
        }
    }
    Ok(())
}
