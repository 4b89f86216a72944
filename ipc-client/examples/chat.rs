//! A small program that talks to a model through the AI Runner daemon.
//!
//!     cargo run --package airunner-ipc-client --example chat -- builtin/helper "What can you do?"
//!
//! It starts the daemon if need be, shows how far the model's load is, and streams the answer.
//! Ctrl-C cancels the answer: dropping the stream of events is all it takes.

use std::io::Write as _;

use airunner_core::ModelName;
use airunner_core::chat::{Conversation, Message};
use airunner_core::generate::{GenerateEvent, GenerateRequest, Input, Sampling};
use airunner_ipc_client::Client;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(question)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: chat MODEL QUESTION");
    };

    // Errors of every call are a `Fault`: a kind for programs and a sentence for people.
    let client = Client::connect_or_start().await?;
    tokio::select! {
        answered = ask(&client, &model, question) => answered,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn ask(client: &Client, model: &str, question: String) -> anyhow::Result<()> {
    let messages = vec![
        Message::new("system", "Answer briefly."),
        Message::new("user", question),
    ];
    let conversation = Conversation {
        messages,
        ..Conversation::default()
    };
    let request = GenerateRequest {
        sampling: Sampling {
            temperature: Some(0.0),
            ..Sampling::default()
        },
        max_tokens: Some(200),
        ..GenerateRequest::new(ModelName::new(model)?, Input::Conversation(conversation))
    };

    let mut events = client.llm().generate(request).await?;
    let (mut answer, mut log) = (std::io::stdout(), std::io::stderr());
    while let Some(event) = events.next().await {
        match event? {
            GenerateEvent::Queued(queued) => {
                writeln!(
                    log,
                    "{} requests before this one: {}",
                    queued.position, queued.reason
                )?;
            }
            GenerateEvent::Loading(progress) => {
                writeln!(
                    log,
                    "loading: {} {:.0} %",
                    progress.stage.as_str(),
                    progress.fraction * 100.0
                )?;
            }
            GenerateEvent::Text(delta) => {
                write!(answer, "{}", delta.text)?;
                answer.flush()?;
            }
            GenerateEvent::Done(done) => {
                writeln!(answer)?;
                let (usage, speed) = (done.usage, done.timings.tokens_per_second);
                writeln!(log, "{} tokens, {speed:.1} tokens/s", usage.completion_tokens)?;
            }
            GenerateEvent::Prompt { .. } | GenerateEvent::Reasoning(_) | GenerateEvent::ToolCall(_) => {}
        }
    }
    Ok(())
}
