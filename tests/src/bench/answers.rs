//! Single answers, timed by the client's own clock.

use std::time::Instant;

use airunner_core::ModelName;
use airunner_core::generate::{Done, GenerateEvent, GenerateRequest, Input, Sampling};
use airunner_ipc_client::Client;

/// When the pieces of an answer came.
pub struct Timed {
    pub begin: Instant,
    /// One for each piece of text.
    pub pieces: Vec<Instant>,
    pub text: String,
    pub done: Done,
}

impl Timed {
    #[must_use]
    pub fn first(&self) -> Instant {
        self.pieces.first().copied().unwrap_or(self.begin)
    }

    #[must_use]
    pub fn last(&self) -> Instant {
        self.pieces.last().copied().unwrap_or(self.begin)
    }
}

/// A prompt of that many tokens; different for every `seed` from the first token on.
#[must_use]
pub fn prompt(tokens: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Within the characters of every package that benches/make_package.py makes.
        0x4E00 + u32::try_from(state % 1900).unwrap_or(0)
    };
    (0..tokens).filter_map(|_| char::from_u32(next())).collect()
}

#[must_use]
pub fn request(model: &ModelName, prompt: String, tokens: u32) -> GenerateRequest {
    let mut request = GenerateRequest::new(model.clone(), Input::Raw(prompt));
    request.sampling = Sampling {
        temperature: Some(0.0),
        ..Sampling::default()
    };
    request.max_tokens = Some(tokens);
    request
}

pub async fn answer(client: &Client, request: GenerateRequest) -> anyhow::Result<Timed> {
    let begin = Instant::now();
    let mut events = client.llm().generate(request).await?;
    let (mut pieces, mut text) = (Vec::new(), String::new());
    while let Some(event) = events.next().await {
        match event? {
            GenerateEvent::Text(delta) => {
                pieces.push(Instant::now());
                text.push_str(&delta.text);
            }
            GenerateEvent::Done(done) => {
                return Ok(Timed {
                    begin,
                    pieces,
                    text,
                    done,
                });
            }
            GenerateEvent::Queued { .. }
            | GenerateEvent::Loading(_)
            | GenerateEvent::Prompt { .. }
            | GenerateEvent::Reasoning(_)
            | GenerateEvent::ToolCall(_) => {}
        }
    }
    anyhow::bail!("the answer ended without an end")
}
