use airunner_core::memory::{EstimateRequest, Quantization};
use clap::Args;

use crate::connection::connect_for;
use crate::failure::Failure;
use crate::output::Style;
use crate::progress::Progress;
use crate::run::Context;
use crate::value;
use crate::views::{EstimateView, estimate_lines};

#[derive(Debug, Args)]
pub(crate) struct Estimate {
    /// The model's name, as in `airunner models`.
    name: String,
    /// Tokens of one conversation; the configured length if left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    /// Precision; the one a load would choose if left out.
    #[arg(long, value_name = "L", value_parser = value::level())]
    level: Option<Quantization>,
}

impl Estimate {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (client, name) = connect_for(&self.name).await?;
        let request = EstimateRequest {
            name: name.clone(),
            context_length: self.context,
            level: self.level,
        };
        let estimate = {
            let _progress = Progress::spinner(&context.output, "reading the package");
            client.models().estimate(request).await?
        };
        if context.output.is_json() {
            return context.output.value(&EstimateView::new(name.as_str(), &estimate));
        }
        context.output.pieces(&[(Style::Bold, name.as_str())])?;
        estimate_lines(&estimate)
            .iter()
            .try_for_each(|line| context.output.line(line))
    }
}
