//! Smaller models made of full-precision ones, by command and by job.

#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::fs;
use std::path::Path;

use airunner_tests::{Daemon, eventually_ok, testdata};
use serde_json::{Value, json};

async fn import(daemon: &Daemon, reference: &str, name: &str) {
    let package = testdata().join("parity").join(reference);
    let package = package.to_str().unwrap();
    daemon
        .home
        .cli()
        .run(&["models", "import", package, "--name", name])
        .await
        .succeeded();
}

/// Parts of packages that are neither whole nor gone.
fn leftovers(daemon: &Daemon) -> Vec<String> {
    let files = daemon.home.files_in("").into_iter();
    files.filter(|file| file.contains(".incoming")).collect()
}

#[tokio::test]
async fn a_model_is_made_smaller_and_answers() {
    let daemon = Daemon::start().await;
    import(&daemon, "llama-gqa", "tiny").await;
    let made = daemon.home.cli().json(&["models", "quantize", "tiny"]).await;
    assert_eq!(
        (&made["name"], &made["level"]),
        (&json!("tiny-q4_m"), &json!("q4_m"))
    );
    assert!(
        made["bytes_after"].as_u64() < made["bytes_before"].as_u64(),
        "{made}"
    );
    let lost = made["relative_error"].as_f64().unwrap();
    assert!(lost > 0.001 && lost < 0.08, "{made}");
    let compared = &made["comparison"];
    assert!(compared["tokens"].as_u64().unwrap() > 100, "{made}");
    assert!(compared["kl_divergence"].as_f64().unwrap() < 0.5, "{made}");
    let shown = daemon.home.cli().json(&["models", "show", "tiny-q4_m"]).await;
    let files: Vec<&str> = shown["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert!(
        files.contains(&"tokenizer.json") && files.contains(&"model.onnx.data"),
        "{files:?}"
    );
    let arguments = ["chat", "tiny-q4_m", "Hello", "--max-tokens", "4"];
    let answer = daemon.home.cli().json(&arguments).await;
    assert!(
        answer["usage"]["completion_tokens"].as_u64().unwrap() > 0,
        "{answer}"
    );

    let text = daemon.home.path().join("text");
    fs::write(&text, "One and one is two. ".repeat(40)).unwrap();
    let text = text.to_str().unwrap();
    let arguments = [
        "models",
        "quantize",
        "tiny",
        "--level",
        "Q8",
        "--name",
        "team/eight",
        "--text",
        text,
    ];
    let eight = daemon.home.cli().json(&arguments).await;
    assert_eq!(eight["name"], "team/eight");
    assert!(eight["relative_error"].as_f64().unwrap() < 0.01, "{eight}");
    let lines = daemon
        .home
        .cli()
        .run(&["models", "quantize", "tiny", "--level", "q2"])
        .await
        .succeeded();
    assert!(lines.stdout.contains("tiny-q2 is installed"), "{}", lines.stdout);
    assert!(lines.stdout.contains("Warning: 2 bits"), "{}", lines.stdout);
    let verified = daemon.home.cli().run(&["models", "verify", "team/eight"]).await;
    verified.succeeded();
    assert!(leftovers(&daemon).is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn what_cannot_be_made_smaller_is_refused_and_leaves_nothing() {
    let daemon = Daemon::start().await;
    import(&daemon, "llama-gqa-int4", "int4").await;
    import(&daemon, "llama-gqa", "tiny").await;
    let damaged = daemon.home.path().join("damaged");
    copy_with_not_a_number(&testdata().join("parity/llama-gqa"), &damaged);
    let damaged = damaged.to_str().unwrap();
    daemon
        .home
        .cli()
        .run(&["models", "import", damaged, "--name", "damaged"])
        .await
        .succeeded();
    for (arguments, reason) in [
        (&["models", "quantize", "int4"][..], "model_incompatible"),
        (&["models", "quantize", "damaged"], "model_invalid"),
        (&["models", "quantize", "none"], "model_not_found"),
        (
            &["models", "quantize", "tiny", "--name", "int4"],
            "already_exists",
        ),
    ] {
        let (_, found, message) = daemon.home.cli().refusal(arguments).await;
        assert_eq!(found, reason, "{arguments:?}: {message}");
        if reason == "model_invalid" {
            assert!(message.contains("lm_head.MatMul.weight"), "{message}");
        }
    }
    let usage = daemon
        .home
        .cli()
        .run(&["models", "quantize", "tiny", "--level", "q5"])
        .await;
    assert!(usage.stderr.contains("q4_m"), "{}", usage.stderr);
    assert!(leftovers(&daemon).is_empty());
    let models = daemon.home.cli().json(&["models"]).await;
    let names: Vec<&str> = models
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|model| model["name"].as_str())
        .filter(|name| !name.starts_with("builtin/"))
        .collect();
    assert_eq!(names, ["damaged", "int4", "tiny"]);
    daemon.stop().await;
}

/// The last four weights of the head are no numbers.
fn copy_with_not_a_number(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let data = to.join("model.onnx.data");
    let mut bytes = fs::read(&data).unwrap();
    let end = bytes.len();
    bytes[end - 16..].copy_from_slice(&[0xff; 16]);
    fs::write(data, bytes).unwrap();
}

#[tokio::test]
async fn a_job_tells_what_was_lost() {
    let daemon = Daemon::start().await;
    import(&daemon, "qwen3-hf", "tiny").await;
    let http = daemon.http().await;
    let body = json!({"model": "tiny", "level": "q4_s"});
    let reply = http.post("/api/v1/models/quantize", &body).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    let job = format!("/api/v1/jobs/{}", reply.json()["id"].as_str().unwrap());
    let done: Value = eventually_ok("the job is over", async || {
        let job = http.get(&job).await.ok();
        if job["state"] == "completed" {
            Ok(job)
        } else {
            Err(job)
        }
    })
    .await;
    assert_eq!(done["result"]["model"], "tiny-q4_s");
    let report = &done["result"]["report"];
    assert!(report["comparison"]["perplexity_after"].is_number(), "{done}");
    assert_eq!(
        http.get("/api/v1/models/tiny-q4_s").await.ok()["name"],
        "tiny-q4_s"
    );
    for (body, status) in [
        (json!({"model": "tiny", "level": "q4_s"}), 409),
        (json!({"model": "none"}), 404),
        (json!({"model": "tiny", "level": "q5"}), 400),
        (json!({"level": "q4_m"}), 400),
    ] {
        let reply = http.post("/api/v1/models/quantize", &body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text);
    }
    daemon.stop().await;
}
