use std::io::{self, IsTerminal as _, Read as _};
use std::time::Duration;

use airunner_core::generate::{GenerateRequest, Input, MAX_PROMPT_BYTES, Sampling};
use airunner_core::{Fault, ModelName, Priority};
use clap::Args;

use crate::connection::connect_for;
use crate::failure::Failure;
use crate::run::Context;
use crate::units;

mod answer;
mod conversation;
mod editor;
mod interactive;
mod meter;
mod slash;

use conversation::Transcript;

/// Says "read standard input".
const STDIN: &str = "-";

#[derive(Debug, Args)]
#[command(after_help = "Without PROMPT at a terminal this is a conversation; /help lists its commands.")]
pub(crate) struct Chat {
    /// The model's name, as in `airunner models`. It is loaded if need be.
    model: String,
    /// What to say; `-` reads it from standard input.
    prompt: Option<String>,
    /// Instructions that come before the conversation.
    #[arg(long, value_name = "S", conflicts_with = "raw")]
    system: Option<String>,
    /// Send the prompt as it is, without the model's chat template.
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Debug, Default, Args)]
struct Options {
    /// 0 always takes the likeliest token; higher is more varied.
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Choose among the N likeliest tokens; 0 is off.
    #[arg(long, value_name = "N")]
    top_k: Option<u32>,
    /// Choose among the likeliest tokens that together reach this probability; 1 is off.
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f32>,
    /// The same seed gives the same text.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Tokens the answer may have at most.
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
    /// End the answer before this text; can be given several times.
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// How long it may wait for its turn, such as 30s; as long as it takes if left out.
    #[arg(long, value_name = "T", value_parser = units::parse_duration)]
    max_wait: Option<Duration>,
}

impl Options {
    fn request(&self, model: ModelName, input: Input, priority: Priority) -> GenerateRequest {
        let sampling = Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
            ..Sampling::default()
        };
        GenerateRequest {
            sampling,
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            priority,
            max_wait: self.max_wait,
            ..GenerateRequest::new(model, input)
        }
    }
}

impl Chat {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Some(prompt) = self.prompt.clone() else {
            return self.converse(context).await;
        };
        let (client, model) = connect_for(&self.model).await?;
        let input = self.input(prompt, context).await?;
        let request = self.options.request(model, input, context.output.priority());
        answer::once(&client, request, context).await
    }

    async fn input(&self, prompt: String, context: &Context) -> Result<Input, Failure> {
        let from_stdin = prompt == STDIN;
        let mut prompt = if from_stdin {
            standard_input(context).await?
        } else {
            prompt
        };
        if self.raw {
            return Ok(Input::Raw(prompt));
        }
        if from_stdin {
            without_line_end(&mut prompt);
        }
        if prompt.is_empty() {
            return Err(Fault::invalid("the prompt is empty: say something").into());
        }
        let mut transcript = Transcript::new(self.system.clone());
        transcript.ask(prompt);
        Ok(Input::Conversation(transcript.conversation()))
    }

    async fn converse(self, context: &Context) -> Result<(), Failure> {
        let at_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        if !at_terminal || context.output.is_json() || self.raw {
            let message = "give a PROMPT, or - to read it from standard input; a conversation without one \
                           needs a terminal, and neither --json nor --raw";
            return Err(Failure::Usage(message.to_owned()));
        }
        let (client, model) = connect_for(&self.model).await?;
        interactive::run(&client, &model, self.system, &self.options, context).await
    }
}

async fn standard_input(context: &Context) -> Result<String, Failure> {
    let read = tokio::task::spawn_blocking(|| {
        let mut bytes = Vec::new();
        // One byte more than allowed is enough to be refused for it.
        let limit = u64::try_from(MAX_PROMPT_BYTES)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut bytes)
            .map(|_| bytes)
    });
    let mut interrupt = context.interrupt.clone();
    let bytes = tokio::select! {
        read = read => read.map_err(Failure::internal)?,
        () = interrupt.pressed() => return Err(Failure::cancelled()),
    };
    let bytes = bytes.map_err(|error| Failure::internal(format!("cannot read standard input: {error}")))?;
    String::from_utf8(bytes)
        .map_err(|_| Fault::invalid("standard input is not UTF-8 text: convert it first").into())
}

/// A line end that closes the input is how programs write lines, not a part of what is said.
fn without_line_end(text: &mut String) {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_taken_off() {
        for (text, expected) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("a", "a"),
            ("\n", ""),
        ] {
            let mut text = text.to_owned();
            without_line_end(&mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn the_options_reach_the_request() {
        let options = Options {
            temperature: Some(0.5),
            top_k: Some(4),
            top_p: Some(0.9),
            seed: Some(7),
            max_tokens: Some(9),
            stop: vec!["x".into()],
            max_wait: Some(Duration::from_secs(3)),
        };
        let request = options.request(
            ModelName::new("tiny").unwrap(),
            Input::Raw("Hi".into()),
            Priority::Interactive,
        );
        assert_eq!(
            (request.priority, request.max_wait),
            (Priority::Interactive, Some(Duration::from_secs(3)))
        );
        assert_eq!(
            (request.sampling.temperature, request.sampling.top_k),
            (Some(0.5), Some(4))
        );
        assert_eq!(
            (request.sampling.top_p, request.sampling.seed),
            (Some(0.9), Some(7))
        );
        assert_eq!(
            (request.max_tokens, request.stop),
            (Some(9), vec!["x".to_owned()])
        );
    }
}
