//! Several answers at once, written as one stream of events.

use std::pin::Pin;

use airunner_core::Fault;
use airunner_core::generate::GenerateEvent;
use axum::response::sse::Event;
use futures_util::future::try_join_all;
use futures_util::stream::{self, select_all};
use futures_util::{Stream, StreamExt as _};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::http::answer::{self, PATIENCE, Whole, cut, waits, whole};
use crate::http::family::Family;
use crate::http::stream::data;
use crate::inference::Answer;

/// What an answer's stream brings, and of which choice.
pub(super) type Piece = (u32, Result<GenerateEvent, Fault>);
type Pieces = Pin<Box<dyn Stream<Item = Piece> + Send>>;

/// What is sent to a client.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    Json(Value),
    /// `[DONE]`, which ends what went well.
    Done,
}

/// Writes down what comes.
pub(super) trait Writer: Send + 'static {
    /// Before anything has come.
    fn begin(&mut self) -> Vec<Line>;
    fn write(&mut self, choice: u32, event: GenerateEvent) -> Vec<Line>;
    /// After the last choice has ended.
    fn end(&mut self) -> Vec<Line>;
}

/// Waits for the end of all.
pub(super) async fn all(answers: Vec<Answer>) -> Result<Vec<Whole>, Fault> {
    try_join_all(answers.into_iter().map(whole)).await
}

/// Events in the order in which they come, once the first answer has begun or been refused, or
/// all take long. The others may still wait for their turn then.
pub(super) async fn merged(answers: Vec<Answer>) -> Result<Pieces, Fault> {
    let deadline = Instant::now() + PATIENCE;
    let numbered = (0_u32..)
        .zip(answers)
        .map(|(choice, answer)| answer::all(answer).map(move |event| (choice, event)).boxed());
    let mut pieces = select_all(numbered);
    let mut early = Vec::new();
    while let Ok(piece) = timeout_at(deadline, pieces.next()).await {
        let (choice, event) = piece.ok_or_else(cut)?;
        let event = event?;
        let waits = waits(&event);
        early.push((choice, Ok(event)));
        if !waits {
            break;
        }
    }
    Ok(Box::pin(stream::iter(early).chain(pieces)))
}

/// Where a stream stands.
enum Stage<W> {
    Begins(Pieces, W, usize),
    Runs(Pieces, W, usize),
    Ended,
}

/// The lines of `choices` answers. An error is the last line then, so that nobody takes what is
/// cut off for complete.
pub(super) fn lines<W: Writer>(pieces: Pieces, choices: usize, writer: W) -> impl Stream<Item = Line> + Send {
    stream::unfold(
        Stage::Begins(pieces, writer, choices),
        async |stage| match stage {
            Stage::Begins(pieces, mut writer, left) => {
                let lines = writer.begin();
                Some((lines, Stage::Runs(pieces, writer, left)))
            }
            Stage::Runs(mut pieces, mut writer, left) => match pieces.next().await {
                Some((choice, Ok(event))) => {
                    let left = left - usize::from(matches!(event, GenerateEvent::Done(_)));
                    let mut lines = writer.write(choice, event);
                    if left > 0 {
                        return Some((lines, Stage::Runs(pieces, writer, left)));
                    }
                    lines.extend(writer.end());
                    lines.push(Line::Done);
                    Some((lines, Stage::Ended))
                }
                Some((_, Err(fault))) => Some((vec![failed(&fault)], Stage::Ended)),
                None => {
                    let fault = Fault::internal("the answer ended too early");
                    Some((vec![failed(&fault)], Stage::Ended))
                }
            },
            Stage::Ended => None,
        },
    )
    .flat_map(stream::iter)
}

/// An error in the middle.
fn failed(fault: &Fault) -> Line {
    tracing::info!(reason = %fault.kind, "an answer ended in its middle");
    Line::Json(Family::OpenAi.error(fault))
}

impl Line {
    pub(super) fn event(self) -> Event {
        match self {
            Self::Json(value) => data(&value),
            Self::Done => Event::default().data("[DONE]"),
        }
    }
}

/// A value of our own types always becomes JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Line {
    Line::Json(serde_json::to_value(value).unwrap_or_default())
}

#[cfg(test)]
pub(super) mod tests {
    use airunner_core::generate::{Done, FinishReason, TextDelta, Timings, ToolCallDelta, Usage};
    use tokio::sync::mpsc;

    use super::*;

    pub(in crate::http::openai) fn text(text: &str) -> GenerateEvent {
        GenerateEvent::Text(TextDelta {
            text: text.to_owned(),
            logprobs: Vec::new(),
        })
    }

    pub(in crate::http::openai) fn thought(text: &str) -> GenerateEvent {
        GenerateEvent::Reasoning(TextDelta {
            text: text.to_owned(),
            logprobs: Vec::new(),
        })
    }

    pub(in crate::http::openai) fn call(
        index: u32,
        start: Option<(&str, &str)>,
        piece: &str,
    ) -> GenerateEvent {
        GenerateEvent::ToolCall(ToolCallDelta {
            index,
            id: start.map(|(id, _)| id.to_owned()),
            name: start.map(|(_, name)| name.to_owned()),
            arguments: piece.to_owned(),
        })
    }

    pub(in crate::http::openai) fn done(finish_reason: FinishReason) -> GenerateEvent {
        GenerateEvent::Done(Done {
            finish_reason,
            stop_sequence: None,
            usage: Usage {
                prompt_tokens: 5,
                cached_tokens: 2,
                completion_tokens: 3,
            },
            timings: Timings::default(),
        })
    }

    /// The lines that a writer makes of these events.
    pub(in crate::http::openai) async fn written(
        writer: impl Writer,
        choices: usize,
        pieces: Vec<Piece>,
    ) -> Vec<Line> {
        lines(Box::pin(stream::iter(pieces)), choices, writer)
            .collect()
            .await
    }

    struct Counting(u32);

    impl Writer for Counting {
        fn begin(&mut self) -> Vec<Line> {
            vec![Line::Json("begin".into())]
        }

        fn write(&mut self, choice: u32, _event: GenerateEvent) -> Vec<Line> {
            self.0 += 1;
            vec![Line::Json(choice.into())]
        }

        fn end(&mut self) -> Vec<Line> {
            vec![Line::Json(format!("end after {}", self.0).into())]
        }
    }

    #[tokio::test]
    async fn the_end_comes_after_the_last_choice() {
        let stop = || Ok(done(FinishReason::Stop));
        let pieces = vec![(0, Ok(text("a"))), (0, stop()), (1, stop())];
        let lines = written(Counting(0), 2, pieces).await;
        let json = |value: Value| Line::Json(value);
        assert_eq!(
            lines,
            [
                json("begin".into()),
                json(0.into()),
                json(0.into()),
                json(1.into()),
                json("end after 3".into()),
                Line::Done
            ]
        );
    }

    #[tokio::test]
    async fn what_is_cut_off_does_not_look_complete() {
        let fault = Fault::new(airunner_core::ErrorKind::WorkerCrashed, "it died");
        for pieces in [
            vec![(0, Ok(text("a"))), (0, Err(fault)), (0, Ok(text("b")))],
            vec![(0, Ok(text("a")))],
        ] {
            let lines = written(Counting(0), 1, pieces).await;
            assert_eq!(lines.len(), 3);
            assert!(matches!(&lines[2], Line::Json(value) if value["error"]["type"] == "server_error"));
        }
    }

    #[tokio::test]
    async fn one_that_waits_does_not_hold_up_the_others() {
        let (first, waiting) = mpsc::channel(2);
        let (second, answering) = mpsc::channel(2);
        second.send(Ok(text("a"))).await.unwrap();
        let mut pieces = merged(vec![waiting, answering]).await.unwrap();
        assert!(matches!(pieces.next().await, Some((1, Ok(_)))));
        first.send(Ok(text("b"))).await.unwrap();
        assert!(matches!(pieces.next().await, Some((0, Ok(_)))));
    }

    #[tokio::test]
    async fn a_refusal_comes_before_the_stream() {
        let (sender, answer) = mpsc::channel(1);
        sender.send(Err(Fault::invalid("no"))).await.unwrap();
        assert!(merged(vec![answer]).await.is_err());
    }
}
