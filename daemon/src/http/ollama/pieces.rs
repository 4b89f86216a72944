//! An answer in the pieces that clients of Ollama read.

use std::time::Duration;

use airunner_core::generate::{Done, FinishReason, GenerateEvent, TokenLogprob};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::super::answer::{Call, Whole, add, complete, finite};

/// What one line says, whichever endpoint writes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) thinking: String,
    pub(super) calls: Vec<Call>,
    pub(super) logprobs: Vec<TokenLogprob>,
    /// Set in the last.
    pub(super) end: Option<End>,
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct End {
    pub(super) reason: &'static str,
    pub(super) figures: Figures,
    /// All of the text, for who asked for it.
    pub(super) written: String,
}

/// Counts, and times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Figures {
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: u32,
    prompt_eval_duration: u64,
    eval_count: u32,
    eval_duration: u64,
}

/// When a request came, and what was spent on its model before an answer was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    arrived: Instant,
    prepared: Duration,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            arrived: Instant::now(),
            prepared: Duration::ZERO,
        }
    }

    /// Counts the time of `work` to that of loading.
    pub(super) async fn preparing<T>(&mut self, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = work.await;
        self.prepared += begun.elapsed();
        done
    }
}

impl Figures {
    fn of(done: &Done, clock: &Clock) -> Self {
        Self {
            total_duration: nanoseconds(clock.arrived.elapsed()),
            load_duration: nanoseconds(done.timings.load + clock.prepared),
            prompt_eval_count: done.usage.prompt_tokens,
            prompt_eval_duration: nanoseconds(done.timings.prompt),
            eval_count: done.usage.completion_tokens,
            eval_duration: nanoseconds(done.timings.decode),
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Makes pieces of events.
pub(super) struct Pieces {
    clock: Clock,
    /// What the model thinks is passed on.
    shows_thinking: bool,
    calls: Vec<Call>,
    written: String,
}

impl Pieces {
    pub(super) fn new(shows_thinking: bool, clock: Clock) -> Self {
        Self {
            clock,
            shows_thinking,
            calls: Vec::new(),
            written: String::new(),
        }
    }

    /// A call is told once it is complete: when the next begins, or at the end.
    pub(super) fn of(&mut self, event: GenerateEvent) -> Vec<Piece> {
        match event {
            GenerateEvent::Text(delta) => {
                self.written.push_str(&delta.text);
                vec![Piece {
                    text: delta.text,
                    logprobs: delta.logprobs,
                    ..Piece::default()
                }]
            }
            GenerateEvent::Reasoning(delta) if self.shows_thinking => vec![Piece {
                thinking: delta.text,
                ..Piece::default()
            }],
            GenerateEvent::ToolCall(delta) => {
                let known = self.calls.len();
                let is_next = delta.index as usize >= known;
                let complete = self.calls.last().filter(|_| is_next).cloned();
                add(&mut self.calls, delta);
                complete.map(called).into_iter().collect()
            }
            GenerateEvent::Done(done) => {
                let last = self.calls.pop().into_iter().collect();
                let last = complete(last, &done).into_iter().map(called);
                let end = Piece {
                    end: Some(self.end(&done)),
                    ..Piece::default()
                };
                last.chain([end]).collect()
            }
            GenerateEvent::Reasoning(_)
            | GenerateEvent::Queued(_)
            | GenerateEvent::Loading(_)
            | GenerateEvent::Prompt { .. } => Vec::new(),
        }
    }

    /// All at once.
    pub(super) fn whole(mut self, whole: Whole) -> Piece {
        self.written.clone_from(&whole.text);
        Piece {
            end: Some(self.end(&whole.done)),
            text: whole.text,
            thinking: if self.shows_thinking {
                whole.reasoning
            } else {
                String::new()
            },
            calls: complete(whole.calls, &whole.done),
            logprobs: whole.logprobs,
        }
    }

    fn end(&mut self, done: &Done) -> End {
        End {
            reason: reason(done.finish_reason),
            figures: Figures::of(done, &self.clock),
            written: std::mem::take(&mut self.written),
        }
    }
}

fn called(call: Call) -> Piece {
    Piece {
        calls: vec![call],
        ..Piece::default()
    }
}

fn reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::ToolCalls => "stop",
        FinishReason::Length => "length",
        FinishReason::Cancelled => "cancelled",
    }
}

/// How likely the model found a token.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Logprob {
    #[serde(flatten)]
    token: Likely,
    /// The likeliest at this place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    top_logprobs: Vec<Likely>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Likely {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
}

pub(super) fn logprobs(tokens: Vec<TokenLogprob>) -> Vec<Logprob> {
    tokens
        .into_iter()
        .map(|token| Logprob {
            top_logprobs: token.top.iter().map(likely).collect(),
            token: likely(&token),
        })
        .collect()
}

fn likely(token: &TokenLogprob) -> Likely {
    Likely {
        token: String::from_utf8_lossy(&token.token).into_owned(),
        logprob: finite(token.logprob),
        bytes: token.token.clone(),
    }
}

/// A call as Ollama writes it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct CallOut {
    id: String,
    function: FunctionOut,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct FunctionOut {
    index: usize,
    name: String,
    /// An object.
    #[schema(value_type = Object)]
    arguments: Map<String, Value>,
}

/// `before` calls were told earlier.
pub(super) fn calls(calls: Vec<Call>, before: usize) -> Vec<CallOut> {
    let number = |(index, call): (usize, Call)| CallOut {
        id: call.id,
        function: FunctionOut {
            index: before + index,
            name: call.name,
            // What a model wrote that is no object is passed on as far as it can be.
            arguments: match serde_json::from_str(&call.arguments) {
                Ok(Value::Object(arguments)) => arguments,
                Ok(_) | Err(_) => Map::new(),
            },
        },
    };
    calls.into_iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use airunner_core::generate::{TextDelta, Timings, ToolCallDelta, Usage};

    use super::*;

    fn text(text: &str) -> TextDelta {
        TextDelta {
            text: text.to_owned(),
            logprobs: Vec::new(),
        }
    }

    fn delta(index: u32, name: Option<&str>, arguments: &str) -> GenerateEvent {
        GenerateEvent::ToolCall(ToolCallDelta {
            index,
            id: name.map(|_| format!("call_{index}")),
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
        })
    }

    fn done() -> Done {
        Done {
            finish_reason: FinishReason::ToolCalls,
            stop_sequence: None,
            usage: Usage {
                prompt_tokens: 7,
                cached_tokens: 0,
                completion_tokens: 3,
            },
            timings: Timings {
                load: Duration::from_millis(2),
                ..Timings::default()
            },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_spent_on_the_model_counts() {
        let mut clock = Clock::start();
        clock
            .preparing(tokio::time::sleep(Duration::from_millis(5)))
            .await;
        let figures = Figures::of(&done(), &clock);
        assert_eq!(figures.load_duration, 7_000_000);
        assert!(figures.total_duration >= 5_000_000);
    }

    #[test]
    fn calls_are_told_whole_and_in_order() {
        let mut pieces = Pieces::new(true, Clock::start());
        let events = [
            GenerateEvent::Reasoning(text("hm")),
            GenerateEvent::Text(text("I ask ")),
            delta(0, Some("f"), "{\"x\""),
            delta(0, None, ": 1}"),
            delta(1, Some("g"), "{}"),
            GenerateEvent::Done(done()),
        ];
        let told: Vec<Piece> = events.into_iter().flat_map(|event| pieces.of(event)).collect();
        assert_eq!(
            (told[0].thinking.as_str(), told[1].text.as_str()),
            ("hm", "I ask ")
        );
        assert_eq!(told[2].calls[0].arguments, "{\"x\": 1}");
        assert_eq!(told[3].calls[0].name, "g");
        let end = told[4].end.as_ref().unwrap();
        assert_eq!((end.reason, end.written.as_str()), ("stop", "I ask "));
        assert_eq!(
            (
                end.figures.prompt_eval_count,
                end.figures.eval_count,
                end.figures.load_duration
            ),
            (7, 3, 2_000_000)
        );
        assert_eq!(told.len(), 5);
    }

    #[test]
    fn a_call_cut_off_by_the_limit_is_not_told() {
        let mut pieces = Pieces::new(true, Clock::start());
        assert!(pieces.of(delta(0, Some("f"), "{\"x\"")).is_empty());
        let told = pieces.of(GenerateEvent::Done(Done {
            finish_reason: FinishReason::Length,
            ..done()
        }));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].end.as_ref().unwrap().reason, "length");
    }

    #[test]
    fn thoughts_nobody_asked_for_are_kept_back() {
        let mut pieces = Pieces::new(false, Clock::start());
        assert!(pieces.of(GenerateEvent::Reasoning(text("hm"))).is_empty());
    }

    #[test]
    fn arguments_are_an_object_whatever_was_written() {
        let call = |arguments: &str| Call {
            id: "call_0".into(),
            name: "f".into(),
            arguments: arguments.into(),
        };
        let told = calls(vec![call("{\"a\": [1]}"), call("nonsense"), call("[1]")], 2);
        let told = serde_json::to_value(told).unwrap();
        assert_eq!(told[0]["function"]["arguments"]["a"][0], 1);
        assert_eq!(told[1]["function"]["arguments"], serde_json::json!({}));
        assert_eq!(told[2]["function"]["index"], 4);
    }
}
