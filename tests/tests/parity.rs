//! Token by token what the reference implementation says, through daemon and worker.

use std::path::Path;

use airunner_tests::{Daemon, parity_packages, repository};
use serde_json::Value;

fn golden(package: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(package.join("golden.json")).unwrap()).unwrap()
}

/// Prompt, expected text and its tokens, of every case that has a prompt in words.
fn cases(package: &Path) -> Vec<(String, String, String)> {
    let golden = golden(package);
    let case = |case: &Value| {
        let tokens = case["output_ids"].as_array()?.len().to_string();
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

#[tokio::test]
async fn every_reference_package_writes_what_the_reference_writes() {
    let daemon = Daemon::start().await;
    let cli = daemon.home.cli();
    let mut compared = 0;
    for (name, directory) in parity_packages() {
        cli.run(&["models", "import", directory.to_str().unwrap(), "--name", &name])
            .await
            .succeeded();
        let cases = cases(&directory);
        let ask = |tokens: &str| {
            [
                "chat",
                &name,
                "-",
                "--raw",
                "--temperature",
                "0",
                "--max-tokens",
                tokens,
                "--json",
            ]
            .map(str::to_owned)
        };
        for (prompt, text, tokens) in &cases {
            let arguments = ask(tokens);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let answer = cli.run_with_input(&arguments, prompt).await.succeeded().json();
            assert_eq!(answer["text"], *text, "{name} alone: {prompt:?}");
        }
        let together = cases.iter().map(async |(prompt, text, tokens)| {
            let arguments = ask(tokens);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let answer = cli.run_with_input(&arguments, prompt).await.succeeded().json();
            assert_eq!(answer["text"], *text, "{name} in a batch of eight: {prompt:?}");
        });
        compared += cases.len();
        futures_util::future::join_all(together).await;
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
