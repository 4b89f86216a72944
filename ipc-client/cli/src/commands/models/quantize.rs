use std::path::PathBuf;

use airunner_core::model::Model;
use airunner_core::quantize::{
    MAX_TEXT_BYTES, QuantizeEvent, QuantizeLevel, QuantizeReport, QuantizeRequest,
};
use airunner_core::{Fault, ModelName};
use clap::Args;

use crate::connection::connect_for;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::Context;
use crate::views::{QuantizedView, quantized_lines};

#[derive(Debug, Args)]
pub(crate) struct Quantize {
    /// The model's name, as in `airunner models`. It must be of full precision.
    name: String,
    /// How small: fp16, q8, q6, q4_m, q4_s or q2, the largest first. q2 is experimental.
    #[arg(long, default_value = "q4_m", value_parser = level)]
    level: QuantizeLevel,
    /// What to call the new model; the old name and the level if left out.
    #[arg(long = "name", value_name = "NEW")]
    new_name: Option<String>,
    /// Text to compare both models on; a text of the program's own if left out.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
}

fn level(text: &str) -> Result<QuantizeLevel, String> {
    QuantizeLevel::parse(text).ok_or_else(|| format!("use one of {}", QuantizeLevel::names()))
}

impl Quantize {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let text = self.text.as_deref().map(read).transpose()?;
        let name = self.new_name.as_deref().map(ModelName::new).transpose()?;
        let (client, model) = connect_for(&self.name).await?;
        let request = QuantizeRequest {
            model,
            level: self.level,
            name,
            text,
        };
        let (model, report) = quantized(&client.models(), request, context).await?;
        if context.output.is_json() {
            return context.output.value(&QuantizedView::new(&model, &report));
        }
        for line in quantized_lines(&model, &report) {
            context.output.line(&line)?;
        }
        Ok(())
    }
}

fn read(path: &std::path::Path) -> Result<String, Fault> {
    use std::io::Read as _;
    let refused = |why: String| Fault::invalid(format!("{} cannot be compared on: {why}", path.display()));
    let mut text = Vec::new();
    let opened =
        std::fs::File::open(path).and_then(|file| file.take(MAX_TEXT_BYTES as u64).read_to_end(&mut text));
    opened.map_err(|error| refused(error.to_string()))?;
    match String::from_utf8(text) {
        Ok(text) => Ok(text),
        // The limit may lie within a character.
        Err(error) if error.utf8_error().error_len().is_none() => {
            let end = error.utf8_error().valid_up_to();
            let mut text = error.into_bytes();
            text.truncate(end);
            String::from_utf8(text).map_err(|error| refused(error.to_string()))
        }
        Err(_) => Err(refused("it is not UTF-8 text".to_owned())),
    }
}

async fn quantized(
    client: &airunner_ipc_client::Models,
    request: QuantizeRequest,
    context: &Context,
) -> Result<(Model, QuantizeReport), Failure> {
    let progress = Progress::new(&context.output, "checking");
    let mut events = client.quantize(request).await?;
    while let Some(event) = events.next().await {
        match event? {
            QuantizeEvent::Progress(now) => progress.step(now.stage.as_str(), now.fraction),
            QuantizeEvent::Installed { model, report } => return Ok((*model, *report)),
        }
    }
    Err(Fault::internal("the quantization has no end").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_far_as_it_is_wanted() {
        let directory = std::env::temp_dir().join(format!("airunner-quantize-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("text");
        std::fs::write(&file, format!("x{}", "ä".repeat(MAX_TEXT_BYTES / 2))).unwrap();
        assert_eq!(read(&file).unwrap().len(), MAX_TEXT_BYTES - 1);
        std::fs::write(&file, [0x61, 0xff, 0x61]).unwrap();
        assert!(read(&file).is_err());
        assert!(read(&directory.join("none")).is_err());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
