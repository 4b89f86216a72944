//! What the fake model streams for one request, decided before the first token.

use airunner_core::ErrorKind;
use airunner_core::Fault;
use airunner_core::generate::{FinishReason, GenerateRequest, Input};

use super::script::Script;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) prompt_tokens: u32,
    pub(super) pieces: Vec<String>,
    pub(super) finish_reason: FinishReason,
}

impl Answer {
    pub(super) fn to(request: &GenerateRequest, script: &Script) -> Result<Self, Fault> {
        let prompt = prompt_text(&request.input);
        let prompt_tokens = u32::try_from(words(&prompt).len()).unwrap_or(u32::MAX);
        let room = script
            .context_length
            .checked_sub(prompt_tokens)
            .filter(|room| *room > 0)
            .ok_or_else(|| {
                Fault::new(
                    ErrorKind::ContextLengthExceeded,
                    format!(
                        "the prompt has {prompt_tokens} tokens and the context {}: shorten the prompt",
                        script.context_length
                    ),
                )
            })?;
        let limit = request.max_tokens.map_or(room, |max| max.min(room)) as usize;
        let written = script.tokens.clone().unwrap_or_else(|| words(&prompt));
        let endless = script.repeat && !written.is_empty();
        let all = if endless {
            written.iter().cloned().cycle().take(limit + 1).collect()
        } else {
            written
        };
        let (mut pieces, stopped) = cut_at_stop(all, &request.stop);
        let too_long = pieces.len() > limit;
        pieces.truncate(limit);
        let finish_reason = match (too_long, stopped, script.tool_calls.is_empty()) {
            (true, ..) => FinishReason::Length,
            (false, false, false) => FinishReason::ToolCalls,
            (false, ..) => FinishReason::Stop,
        };
        Ok(Self {
            prompt_tokens,
            pieces,
            finish_reason,
        })
    }
}

pub(super) fn prompt_text(input: &Input) -> String {
    match input {
        Input::Raw(text) => text.clone(),
        Input::Tokens(tokens) => tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" "),
        Input::Conversation(conversation) => conversation
            .messages
            .iter()
            .map(|message| message.content.as_str())
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Words with the space behind them.
fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

fn cut_at_stop(pieces: Vec<String>, stops: &[String]) -> (Vec<String>, bool) {
    let whole = pieces.concat();
    let Some(end) = stops.iter().filter_map(|stop| whole.find(stop.as_str())).min() else {
        return (pieces, false);
    };
    let mut left = end;
    let mut kept = Vec::new();
    for mut piece in pieces {
        piece.truncate(left);
        left -= piece.len();
        if !piece.is_empty() {
            kept.push(piece);
        }
    }
    (kept, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use airunner_core::ModelName;

    fn answer(script: &str, change: impl FnOnce(&mut GenerateRequest)) -> (String, FinishReason) {
        let script: Script = serde_json::from_str(script).unwrap();
        let mut request = GenerateRequest::new(
            ModelName::new("fake").unwrap(),
            Input::Raw("one two three".to_owned()),
        );
        change(&mut request);
        let answer = Answer::to(&request, &script).unwrap();
        (answer.pieces.join("|"), answer.finish_reason)
    }

    #[test]
    fn streams_what_the_script_says() {
        let hello = r#"{"tokens": ["Hel", "lo ", "you"]}"#;
        assert_eq!(
            answer("{}", |_| {}),
            ("one |two |three".to_owned(), FinishReason::Stop)
        );
        assert_eq!(
            answer(hello, |r| r.max_tokens = Some(2)),
            ("Hel|lo ".to_owned(), FinishReason::Length)
        );
        assert_eq!(
            answer(hello, |r| r.max_tokens = Some(3)),
            ("Hel|lo |you".to_owned(), FinishReason::Stop)
        );
        assert_eq!(
            answer(hello, |r| r.stop = vec!["o y".to_owned()]),
            ("Hel|l".to_owned(), FinishReason::Stop)
        );
        let endless = r#"{"tokens": ["a"], "repeat": true, "context_length": 6}"#;
        assert_eq!(
            answer(endless, |_| {}),
            ("a|a|a".to_owned(), FinishReason::Length)
        );
    }
}
