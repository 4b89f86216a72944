//! What an answer has cost so far, as seen from here: for one that is cancelled and so gets no
//! figures from the daemon.

use std::time::Duration;

use airunner_core::generate::{GenerateEvent, Timings, Usage};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    usage: Usage,
    first: Option<Duration>,
    last: Duration,
}

impl Meter {
    /// Notes an event that came so long after the request was sent.
    pub(super) fn note(&mut self, event: &GenerateEvent, after: Duration) {
        match event {
            GenerateEvent::Prompt {
                total_tokens,
                cached_tokens,
                ..
            } => {
                self.usage.prompt_tokens = *total_tokens;
                self.usage.cached_tokens = *cached_tokens;
            }
            GenerateEvent::Text(_) | GenerateEvent::Reasoning(_) | GenerateEvent::ToolCall(_) => {
                self.usage.completion_tokens += 1;
                self.first.get_or_insert(after);
                self.last = after;
            }
            GenerateEvent::Queued(_) | GenerateEvent::Loading(_) | GenerateEvent::Done(_) => {}
        }
    }

    /// The completion tokens are at least this many: a piece of text can hold several.
    pub(super) const fn usage(&self) -> Usage {
        self.usage
    }

    pub(super) fn timings(&self) -> Timings {
        let first_token = self.first.unwrap_or_default();
        let decode = self.last.saturating_sub(first_token);
        let steps = f64::from(self.usage.completion_tokens.saturating_sub(1));
        let tokens_per_second = if decode.is_zero() {
            0.0
        } else {
            steps / decode.as_secs_f64()
        };
        Timings {
            first_token,
            decode,
            tokens_per_second,
            ..Timings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use airunner_core::generate::TextDelta;

    use super::*;

    #[test]
    fn it_counts_what_came() {
        let mut meter = Meter::default();
        let prompt = GenerateEvent::Prompt {
            processed_tokens: 5,
            total_tokens: 9,
            cached_tokens: 4,
        };
        meter.note(&prompt, Duration::from_millis(10));
        for tenths in [5, 10, 15] {
            meter.note(
                &GenerateEvent::Text(TextDelta::default()),
                Duration::from_millis(tenths * 100),
            );
        }
        assert_eq!(
            meter.usage(),
            Usage {
                prompt_tokens: 9,
                cached_tokens: 4,
                completion_tokens: 3
            }
        );
        assert_eq!(meter.timings().first_token, Duration::from_millis(500));
        assert!((meter.timings().tokens_per_second - 2.0).abs() < 1e-9);
        assert!(Meter::default().timings().tokens_per_second.abs() < 1e-9);
    }
}
