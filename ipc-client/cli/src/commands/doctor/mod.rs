use clap::Args;

use crate::failure::{Failure, code};
use crate::output::Style;
use crate::run::Context;

mod checks;
mod facts;
mod runtime_version;

use checks::{Check, Verdict};
use facts::Facts;

#[derive(Debug, Args)]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let checks = checks::all(&Facts::gather(context).await?);
        if context.output.is_json() {
            context.output.value(&checks)?;
        } else {
            checks.iter().try_for_each(|check| print(context, check))?;
        }
        let failed = checks.iter().any(|check| check.status == Verdict::Fail);
        if failed {
            Err(Failure::Reported(code::FAILED))
        } else {
            Ok(())
        }
    }
}

fn print(context: &Context, check: &Check) -> Result<(), Failure> {
    let (style, mark) = match check.status {
        Verdict::Ok => (Style::Green, "ok  "),
        Verdict::Warn => (Style::Yellow, "warn"),
        Verdict::Fail => (Style::Red, "fail"),
    };
    let text = format!("  {:<13} {}", check.check, check.message);
    context.output.pieces(&[(style, mark), (Style::Plain, &text)])?;
    match &check.advice {
        Some(advice) => context.output.line(&format!("      {:<13} {advice}", "")),
        None => Ok(()),
    }
}
