use airunner_core::model::ModelDetails;
use clap::Args;

use crate::connection::connect_for;
use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::run::Context;
use crate::table::{Align, Table};
use crate::units;
use crate::views::DetailsView;

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The model's name, as in `airunner models`.
    name: String,
}

impl Show {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (client, name) = connect_for(&self.name).await?;
        let details = client.models().show(name).await?;
        if context.output.is_json() {
            return context.output.value(&DetailsView::from(&details));
        }
        print(&context.output, &details)
    }
}

fn print(output: &Output, details: &ModelDetails) -> Result<(), Failure> {
    let model = &details.model;
    let unknown = || "not said".to_owned();
    output.pieces(&[(Style::Bold, model.name.as_str())])?;
    for (name, value) in [
        ("kind", model.kind.to_string()),
        ("state", model.state.to_string()),
        ("size", units::size(model.size_bytes)),
        ("source", model.source.to_string()),
        ("format", details.format.as_str().to_owned()),
        (
            "architecture",
            Some(&details.architecture)
                .filter(|text| !text.is_empty())
                .map_or_else(unknown, Clone::clone),
        ),
        (
            "context",
            details
                .context_length
                .map_or_else(unknown, |length| format!("{length} tokens")),
        ),
        ("variants", details.variants.join(", ")),
        (
            "template",
            if details.chat_template.is_some() {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
        ),
        ("directory", details.directory.clone()),
    ] {
        output.line(&format!("  {name:<13} {value}"))?;
    }
    let mut files = Table::new(&[
        ("FILE", Align::Left),
        ("SIZE", Align::Right),
        ("SHA256", Align::Left),
    ]);
    for file in &details.files {
        let digest: String = file.sha256.as_deref().unwrap_or("-").chars().take(16).collect();
        files.row([file.path.clone(), units::size(file.size_bytes), digest]);
    }
    output.line("")?;
    output.table(&files)
}
