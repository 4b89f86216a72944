//! A conversation at a terminal.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use airunner_core::generate::{Done, FinishReason, Input};
use airunner_core::model::{LoadEvent, LoadRequest};
use airunner_core::{ModelName, Priority};
use airunner_ipc_client::Client;

use super::Options;
use super::answer::stream;
use super::conversation::Transcript;
use super::editor::{LineEditor, Typed};
use super::slash::{Entry, HELP};
use crate::connection::places;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::Context;

pub(super) async fn run(
    client: &Client,
    model: &ModelName,
    system: Option<String>,
    options: &Options,
    context: &Context,
) -> Result<(), Failure> {
    load(client, model, context).await?;
    let mut talk = Talk {
        client,
        model,
        options,
        context,
        transcript: Transcript::new(system),
    };
    let mut editor = LineEditor::new(&places()?.state)?;
    context.output.note(&format!(
        "Talking to {model}. /help lists the commands, Ctrl-D ends."
    ));
    let result = talk.entries(&mut editor).await;
    editor.save();
    result
}

/// Before the first question, so that a model that cannot be loaded is known before it is typed.
async fn load(client: &Client, model: &ModelName, context: &Context) -> Result<(), Failure> {
    let progress = Progress::new(&context.output, "waiting for the model");
    let mut interrupt = context.interrupt.clone();
    let request = LoadRequest {
        priority: Priority::Interactive,
        ..LoadRequest::new(model.clone())
    };
    let load = async {
        let mut events = client.models().load(request).await?;
        while let Some(event) = events.next().await {
            match event? {
                LoadEvent::Queued(queued) => progress.queued(&queued),
                LoadEvent::Progress(now) => progress.load(&now),
                LoadEvent::Loaded(_) => {}
            }
        }
        Ok(())
    };
    tokio::select! {
        result = load => result,
        () = interrupt.pressed() => Err(Failure::cancelled()),
    }
}

struct Talk<'a> {
    client: &'a Client,
    model: &'a ModelName,
    options: &'a Options,
    context: &'a Context,
    transcript: Transcript,
}

impl Talk<'_> {
    async fn entries(&mut self, editor: &mut LineEditor) -> Result<(), Failure> {
        loop {
            let typed = tokio::task::block_in_place(|| editor.read())?;
            let entry = match typed {
                Typed::Entry(entry) => Entry::parse(&entry),
                Typed::Interrupted => {
                    self.context.output.note("Ctrl-D or /exit leaves.");
                    continue;
                }
                Typed::End => return Ok(()),
            };
            if entry == Entry::Exit {
                return Ok(());
            }
            self.act(entry).await?;
        }
    }

    async fn act(&mut self, entry: Entry) -> Result<(), Failure> {
        let output = &self.context.output;
        match entry {
            Entry::Nothing | Entry::Exit => {}
            Entry::Help => output.note(HELP),
            Entry::Unknown(command) => output.note(&format!("{command} is no command: /help lists them.")),
            Entry::Clear => {
                self.transcript.clear();
                output.note("The conversation is forgotten.");
            }
            Entry::System(text) => {
                self.transcript.instruct(&text);
                output.note(if text.is_empty() {
                    "No instructions any more."
                } else {
                    "Understood."
                });
            }
            Entry::Save(file) => output.note(&save(&self.transcript, &file)),
            Entry::Regenerate if self.transcript.forget_answer() => self.answer().await?,
            Entry::Regenerate => output.note("Nothing was asked yet."),
            Entry::Say(text) => {
                self.transcript.ask(text);
                self.answer().await?;
            }
        }
        Ok(())
    }

    /// A question that fails is taken back, so that it can be asked again.
    async fn answer(&mut self) -> Result<(), Failure> {
        let input = Input::Conversation(self.transcript.conversation());
        let request = self
            .options
            .request(self.model.clone(), input, Priority::Interactive);
        // Only a Ctrl-C that comes while the answer does is meant for it.
        self.context.interrupt.handled();
        let result = stream(self.client, request, self.context).await;
        self.context.interrupt.handled();
        match result {
            Ok(answer) => {
                self.context.output.note(&summary(&answer.done));
                self.transcript.answer(answer.text, answer.reasoning);
            }
            Err(failure @ Failure::Fault(_)) => {
                self.transcript.forget_question();
                self.context.output.failure(&failure);
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }
}

fn summary(done: &Done) -> String {
    let end = match done.finish_reason {
        FinishReason::Cancelled => return "cancelled".to_owned(),
        FinishReason::Stop | FinishReason::ToolCalls => "",
        FinishReason::Length => ", stopped at the limit",
    };
    let usage = &done.usage;
    format!(
        "{:.1} tokens/s, {} tokens{end}; prompt {} tokens, {} cached",
        done.timings.tokens_per_second, usage.completion_tokens, usage.prompt_tokens, usage.cached_tokens
    )
}

/// Says what came of it.
fn save(transcript: &Transcript, file: &str) -> String {
    if file.is_empty() {
        return "Name a file: /save FILE".to_owned();
    }
    match write_new(transcript, Path::new(file)) {
        Ok(()) => format!("Saved to {file}."),
        Err(error) => format!("Cannot write {file}: {error}."),
    }
}

fn write_new(transcript: &Transcript, file: &Path) -> std::io::Result<()> {
    writeln!(File::create_new(file)?, "{:#}", transcript.to_json())
}

#[cfg(test)]
mod tests {
    use airunner_core::generate::{Timings, Usage};

    use super::*;

    #[test]
    fn the_summary_tells_speed_and_cached_tokens() {
        let done = |finish_reason| Done {
            finish_reason,
            stop_sequence: None,
            usage: Usage {
                prompt_tokens: 100,
                cached_tokens: 90,
                completion_tokens: 12,
            },
            timings: Timings {
                tokens_per_second: 34.56,
                ..Timings::default()
            },
        };
        assert_eq!(
            summary(&done(FinishReason::Stop)),
            "34.6 tokens/s, 12 tokens; prompt 100 tokens, 90 cached"
        );
        assert!(summary(&done(FinishReason::Length)).contains("limit"));
        assert_eq!(summary(&done(FinishReason::Cancelled)), "cancelled");
    }

    #[test]
    fn a_conversation_is_saved_to_a_new_file_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("talk.json");
        let file = file.to_str().unwrap();
        assert!(save(&Transcript::default(), file).starts_with("Saved"));
        assert!(save(&Transcript::default(), file).starts_with("Cannot"));
        assert!(save(&Transcript::default(), "").starts_with("Name"));
        assert_eq!(
            std::fs::read_to_string(file).unwrap(),
            "{\n  \"messages\": []\n}\n"
        );
    }
}
