//! Token by token what the reference implementation says, through daemon and worker.

use std::path::Path;

use airunner_proto::v1;
use airunner_proto::v1::generate_response::Event;
use airunner_proto::v1::llm_client::LlmClient;
use airunner_tests::{Daemon, channel, parity_packages, repository};
use futures_util::future::join_all;
use serde_json::Value;
use tonic::transport::Channel;

fn golden(package: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(package.join("golden.json")).unwrap()).unwrap()
}

/// Prompt, expected text and its tokens, of every case that has a prompt in words.
fn cases(package: &Path) -> Vec<(String, String, u32)> {
    let golden = golden(package);
    let case = |case: &Value| {
        let tokens = u32::try_from(case["output_ids"].as_array()?.len()).ok()?;
        Some((
            case["prompt"].as_str()?.to_owned(),
            case["text"].as_str()?.to_owned(),
            tokens,
        ))
    };
    golden["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(case)
        .collect()
}

/// The greedy answer to a raw prompt, without the penalties some packages ask for.
async fn greedy(llm: LlmClient<Channel>, model: &str, prompt: &str, tokens: u32) -> String {
    let request = v1::GenerateRequest {
        model: model.to_owned(),
        input: Some(v1::generate_request::Input::RawPrompt(prompt.to_owned())),
        sampling: Some(v1::Sampling {
            temperature: Some(0.0),
            repetition_penalty: Some(1.0),
            ..Default::default()
        }),
        max_tokens: Some(tokens),
        ..Default::default()
    };
    let mut events = llm.clone().generate(request).await.unwrap().into_inner();
    let mut text = String::new();
    while let Some(event) = events.message().await.unwrap() {
        if let Some(Event::Text(delta)) = event.event {
            text.push_str(&delta.text);
        }
    }
    text
}

#[tokio::test]
async fn every_reference_package_writes_what_the_reference_writes() {
    let daemon = Daemon::start().await;
    let cli = daemon.home.cli();
    let llm = LlmClient::new(channel(&daemon.home).await);
    let mut compared = 0;
    for (name, directory) in parity_packages() {
        cli.run(&["models", "import", directory.to_str().unwrap(), "--name", &name])
            .await
            .succeeded();
        let cases = cases(&directory);
        for (prompt, text, tokens) in &cases {
            let alone = greedy(llm.clone(), &name, prompt, *tokens).await;
            assert_eq!(alone, *text, "{name} alone: {prompt:?}");
        }
        let together = cases
            .iter()
            .map(|(prompt, _, tokens)| greedy(llm.clone(), &name, prompt, *tokens));
        for (answer, (prompt, text, _)) in join_all(together).await.iter().zip(&cases) {
            assert_eq!(answer, text, "{name} in a batch: {prompt:?}");
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
    let daemon = Daemon::start().await;
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
