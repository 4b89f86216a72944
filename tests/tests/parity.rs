//! Token by token what the reference implementation says, through daemon and worker.

#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::path::Path;

use airunner_proto::v1;
use airunner_proto::v1::generate_response::Event;
use airunner_proto::v1::llm_client::LlmClient;
use airunner_tests::{Daemon, Home, channel, parity_packages, repository};
use futures_util::future::join_all;
use serde_json::Value;
use tonic::transport::Channel;

/// What the reference says of the file that a CPU runs: of several, the 4-bit one.
fn golden(package: &Path) -> Value {
    let text = std::fs::read_to_string(package.join("golden_q4.json"))
        .or_else(|_| std::fs::read_to_string(package.join("golden.json")));
    serde_json::from_str(&text.unwrap()).unwrap()
}

/// A prompt, and the tokens the reference continues it with.
struct Case {
    prompt: String,
    tokens: Vec<u32>,
    /// The last of the tokens ends the answer and is not part of it.
    stops: bool,
}

impl Case {
    fn all(package: &Path) -> Vec<Self> {
        let golden = golden(package);
        let ends: Vec<u32> = serde_json::from_value(golden["eos_token_ids"].clone()).unwrap();
        let case = |case: &Value| {
            let tokens: Vec<u32> = serde_json::from_value(case["output_ids"].clone()).unwrap();
            let stops = tokens.last().is_some_and(|last| ends.contains(last));
            Some(Self {
                prompt: case["prompt"].as_str()?.to_owned(),
                tokens,
                stops,
            })
        };
        golden["cases"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(case)
            .collect()
    }

    fn expected(&self) -> &[u32] {
        &self.tokens[..self.tokens.len() - usize::from(self.stops)]
    }

    /// The tokens of the greedy answer, without the penalties some packages ask for.
    async fn greedy(&self, mut llm: LlmClient<Channel>, model: &str) -> Vec<u32> {
        let request = v1::GenerateRequest {
            model: model.to_owned(),
            input: Some(v1::generate_request::Input::RawPrompt(self.prompt.clone())),
            sampling: Some(v1::Sampling {
                temperature: Some(0.0),
                repetition_penalty: Some(1.0),
                ..Default::default()
            }),
            max_tokens: Some(u32::try_from(self.tokens.len()).unwrap()),
            top_logprobs: Some(0),
            ..Default::default()
        };
        let mut events = llm.generate(request).await.unwrap().into_inner();
        let mut tokens = Vec::new();
        while let Some(event) = events.message().await.unwrap() {
            match event.event {
                Some(Event::Text(delta)) => {
                    tokens.extend(delta.logprobs.iter().map(|logprob| logprob.token_id));
                }
                Some(Event::Done(done)) => {
                    assert_eq!(done.finish_reason, if self.stops { "stop" } else { "length" });
                }
                _ => {}
            }
        }
        tokens
    }
}

/// No model is replaced by a faster copy when it rests for a while: that one computes otherwise.
fn as_it_is() -> Home {
    let mut home = Home::new();
    home.set("AIRUNNER_MODELS_PREPACKED_CACHE", "0");
    home
}

#[tokio::test]
async fn every_reference_package_writes_what_the_reference_writes() {
    let daemon = Daemon::start_in(as_it_is()).await;
    let cli = daemon.home.cli();
    let llm = LlmClient::new(channel(&daemon.home).await);
    let mut compared = 0;
    for (name, directory) in parity_packages() {
        cli.run(&["models", "import", directory.to_str().unwrap(), "--name", &name])
            .await
            .succeeded();
        let cases = Case::all(&directory);
        for case in &cases {
            let alone = case.greedy(llm.clone(), &name).await;
            assert_eq!(alone, case.expected(), "{name} alone: {:?}", case.prompt);
        }
        let together = cases.iter().map(|case| case.greedy(llm.clone(), &name));
        for (answer, case) in join_all(together).await.iter().zip(&cases) {
            assert_eq!(answer, case.expected(), "{name} in a batch: {:?}", case.prompt);
        }
        compared += cases.len();
        cli.run(&["unload", &name]).await.succeeded();
        cli.run(&["models", "remove", &name]).await.succeeded();
    }
    assert!(compared >= 60, "only {compared} comparisons");
    daemon.stop().await;
}

#[tokio::test]
async fn a_trained_model_tells_its_story() {
    let directory = repository().join("../shared/testdata/stories260K");
    if !directory.is_dir() {
        eprintln!("SKIPPED: the trained story model is not on this machine");
        return;
    }
    let daemon = Daemon::start_in(as_it_is()).await;
    let cli = daemon.home.cli();
    cli.run(&[
        "models",
        "import",
        directory.to_str().unwrap(),
        "--name",
        "stories",
    ])
    .await
    .succeeded();
    let golden = golden(&directory);
    let (prompt, text) = (
        golden["prompt"].as_str().unwrap(),
        golden["text"].as_str().unwrap(),
    );
    let base = [
        "chat",
        "stories",
        prompt,
        "--raw",
        "--temperature",
        "0",
        "--max-tokens",
    ];
    let first = cli.json(&[&base[..], &["1"]].concat()).await;
    let prompt_tokens = usize::try_from(first["usage"]["prompt_tokens"].as_u64().unwrap()).unwrap();
    let rest = golden["greedy_ids"].as_array().unwrap().len() - prompt_tokens;
    let answer = cli.json(&[&base[..], &[&rest.to_string()]].concat()).await;
    assert_eq!(format!("{prompt}{}", answer["text"].as_str().unwrap()), text);
    assert!(
        answer["usage"]["cached_tokens"].as_u64().unwrap() > 0,
        "the second run reuses the first: {answer}"
    );
    daemon.stop().await;
}
