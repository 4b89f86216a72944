//! Streaming one answer.

use std::time::Instant;

use airunner_core::Fault;
use airunner_core::generate::{Done, FinishReason, GenerateEvent, GenerateRequest};
use airunner_ipc_client::{Answer, AnswerBuilder, Client};

use super::meter::Meter;
use crate::failure::{Failure, code};
use crate::output::Output;
use crate::progress::Progress;
use crate::run::Context;
use crate::views::AnswerView;

/// Asks once, for a script or a person.
pub(super) async fn once(
    client: &Client,
    request: GenerateRequest,
    context: &Context,
) -> Result<(), Failure> {
    let answer = stream(client, request, context).await?;
    let cancelled = answer.done.finish_reason == FinishReason::Cancelled;
    if context.output.is_json() {
        context.output.value(&view(&answer))?;
        return if cancelled {
            Err(Failure::Reported(code::FAILED))
        } else {
            Ok(())
        };
    }
    if cancelled {
        Err(Failure::cancelled())
    } else {
        Ok(())
    }
}

fn view(answer: &Answer) -> AnswerView<'_> {
    AnswerView {
        text: &answer.text,
        finish_reason: answer.done.finish_reason.as_str(),
        usage: answer.done.usage.into(),
        timings: answer.done.timings.into(),
        reasoning: &answer.reasoning,
        tool_calls: answer.tool_calls.iter().map(Into::into).collect(),
    }
}

/// Shows an answer while it comes, unless it will be shown as JSON. Ctrl-C cancels it: then the
/// answer holds what came before, and says so.
pub(super) async fn stream(
    client: &Client,
    request: GenerateRequest,
    context: &Context,
) -> Result<Answer, Failure> {
    let mut screen = Screen::new(&context.output);
    let mut interrupt = context.interrupt.clone();
    let result = tokio::select! {
        biased;
        () = interrupt.pressed() => Ok(screen.cancelled()),
        result = receive(client, request, &mut screen) => result,
    };
    screen.end_line()?;
    result
}

async fn receive(
    client: &Client,
    request: GenerateRequest,
    screen: &mut Screen<'_>,
) -> Result<Answer, Failure> {
    let mut events = client.llm().generate(request).await?;
    while let Some(event) = events.next().await {
        if let Some(answer) = screen.show(event?)? {
            return Ok(answer);
        }
    }
    Err(Fault::internal("the answer has no end").into())
}

/// What is seen of an answer while it comes.
struct Screen<'a> {
    output: &'a Output,
    started: Instant,
    progress: Option<Progress>,
    answer: AnswerBuilder,
    meter: Meter,
    /// The cursor is not at the beginning of a line.
    within_line: bool,
    thinking: bool,
}

impl<'a> Screen<'a> {
    fn new(output: &'a Output) -> Self {
        Self {
            output,
            started: Instant::now(),
            progress: Some(Progress::new(output, "waiting")),
            answer: AnswerBuilder::default(),
            meter: Meter::default(),
            within_line: false,
            thinking: false,
        }
    }

    fn show(&mut self, event: GenerateEvent) -> Result<Option<Answer>, Failure> {
        self.meter.note(&event, self.started.elapsed());
        match &event {
            GenerateEvent::Queued(_) | GenerateEvent::Loading(_) | GenerateEvent::Prompt { .. } => {
                if let Some(progress) = &self.progress {
                    progress.answer(&event);
                }
            }
            GenerateEvent::Text(delta) => self.text(&delta.text)?,
            GenerateEvent::Reasoning(delta) => self.thought(&delta.text),
            GenerateEvent::ToolCall(_) | GenerateEvent::Done(_) => self.progress = None,
        }
        Ok(self.answer.push(event))
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.progress = None;
        if self.output.is_json() || text.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.thinking) {
            self.output.aside("\n\n");
        }
        self.within_line = !text.ends_with('\n');
        self.output.answer(text)
    }

    /// Scripts get the answer alone.
    fn thought(&mut self, text: &str) {
        self.progress = None;
        if self.output.is_for_a_person() {
            self.thinking = true;
            self.output.aside(text);
        }
    }

    fn cancelled(&mut self) -> Answer {
        self.progress = None;
        let done = Done {
            finish_reason: FinishReason::Cancelled,
            stop_sequence: None,
            usage: self.meter.usage(),
            timings: self.meter.timings(),
        };
        std::mem::take(&mut self.answer).end(done)
    }

    fn end_line(&mut self) -> Result<(), Failure> {
        self.progress = None;
        if std::mem::take(&mut self.thinking) {
            self.output.aside("\n");
        }
        if std::mem::take(&mut self.within_line) {
            self.output.answer("\n")
        } else {
            Ok(())
        }
    }
}
