//! The model that ships with the program.

use airunner_tests::Daemon;

#[tokio::test]
async fn the_helper_answers_questions_about_the_program() {
    let daemon = Daemon::start().await;
    let cli = daemon.home.cli();
    let models = cli.json(&["models"]).await;
    let helper = models
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "builtin/helper")
        .unwrap();
    assert_eq!(helper["source"], "builtin");
    assert!(helper["size_bytes"].as_u64().unwrap() <= 6_000_000, "{helper}");
    let answer = cli
        .json(&["chat", "builtin/helper", "How do I see which models are loaded?"])
        .await;
    assert!(
        answer["text"].as_str().unwrap().contains("airunner ps"),
        "{answer}"
    );
    assert_eq!(answer["finish_reason"], "stop");
    daemon.stop().await;
}
