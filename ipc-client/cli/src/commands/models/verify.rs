use airunner_core::Fault;
use airunner_core::download::{FileProblem, VerifyEvent, VerifyRequest};
use clap::Args;

use crate::connection::connect_for;
use crate::failure::{Failure, code};
use crate::progress::Progress;
use crate::run::Context;
use crate::views::{ProblemsView, problems_table};

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The model's name, as in `airunner models`.
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// The model's name, as in `airunner models`.
    name: String,
}

impl Verify {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        check(&self.name, false, context).await
    }
}

impl Repair {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        check(&self.name, true, context).await
    }
}

/// Fails if something is wrong in the end.
async fn check(name: &str, repair: bool, context: &Context) -> Result<(), Failure> {
    let (client, name) = connect_for(name).await?;
    let request = VerifyRequest {
        name: name.clone(),
        repair,
    };
    let problems = problems(&client.models(), request, context).await?;
    let view = ProblemsView::new(name.as_str(), &problems);
    if context.output.is_json() {
        context.output.value(&view)?;
    } else if problems.is_empty() {
        context.output.line(&format!("{name} is as it was published."))?;
    } else {
        context.output.table(&problems_table(&problems))?;
        context.output.line(&match (view.is_ok(), repair) {
            (true, _) => format!("{name} is repaired."),
            (false, false) => format!("{name} is damaged; repair it with: airunner models repair {name}"),
            (false, true) => format!("{name} is still damaged."),
        })?;
    }
    if view.is_ok() {
        Ok(())
    } else {
        Err(Failure::Reported(code::FAILED))
    }
}

async fn problems(
    client: &airunner_ipc_client::Models,
    request: VerifyRequest,
    context: &Context,
) -> Result<Vec<FileProblem>, Failure> {
    let progress = Progress::new(&context.output, "checking");
    let mut events = client.verify(request).await?;
    while let Some(event) = events.next().await {
        match event? {
            VerifyEvent::Progress {
                file,
                done_bytes,
                total_bytes,
            } => progress.file(&file, done_bytes, total_bytes),
            VerifyEvent::Finished(problems) => return Ok(problems),
        }
    }
    Err(Fault::internal("the check has no end").into())
}
