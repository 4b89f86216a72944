//! Smaller models made of full-precision ones, by command and by job.

#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::fs;
use std::path::Path;

use airunner_tests::{Daemon, Home, eventually_ok, helpers_of, is_alive, noise, send_signal, testdata};
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
    let errors = made["errors"].as_array().unwrap();
    assert!(
        errors.len() as u64 == made["matrices"].as_u64().unwrap() && errors.len() > 8,
        "{made}"
    );
    let compared = &made["comparison"];
    assert!(compared["tokens"].as_u64().unwrap() > 500, "{made}");
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
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(Some(errors.len() as u64), report["matrices"].as_u64(), "{done}");
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

/// The messages of an ONNX file that the test writes, with the numbers of their fields.
mod onnx {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Model {
        #[prost(int64, tag = "1")]
        pub(super) ir_version: i64,
        #[prost(message, optional, tag = "7")]
        pub(super) graph: Option<Graph>,
        #[prost(message, repeated, tag = "8")]
        pub(super) opset_import: Vec<OperatorSet>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct OperatorSet {
        #[prost(string, tag = "1")]
        pub(super) domain: String,
        #[prost(int64, tag = "2")]
        pub(super) version: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Graph {
        #[prost(message, repeated, tag = "1")]
        pub(super) node: Vec<Node>,
        #[prost(string, tag = "2")]
        pub(super) name: String,
        #[prost(message, repeated, tag = "5")]
        pub(super) initializer: Vec<Tensor>,
        #[prost(message, repeated, tag = "11")]
        pub(super) input: Vec<Value>,
        #[prost(message, repeated, tag = "12")]
        pub(super) output: Vec<Value>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Node {
        #[prost(string, repeated, tag = "1")]
        pub(super) input: Vec<String>,
        #[prost(string, repeated, tag = "2")]
        pub(super) output: Vec<String>,
        #[prost(string, tag = "4")]
        pub(super) op_type: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Tensor {
        #[prost(int64, repeated, tag = "1")]
        pub(super) dims: Vec<i64>,
        #[prost(int32, tag = "2")]
        pub(super) data_type: i32,
        #[prost(string, tag = "8")]
        pub(super) name: String,
        #[prost(bytes = "vec", tag = "9")]
        pub(super) raw_data: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Value {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(message, optional, tag = "2")]
        pub(super) kind: Option<Kind>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Kind {
        #[prost(message, optional, tag = "1")]
        pub(super) tensor: Option<TensorKind>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TensorKind {
        #[prost(int32, tag = "1")]
        pub(super) element: i32,
        #[prost(message, optional, tag = "2")]
        pub(super) shape: Option<Shape>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Shape {
        #[prost(message, repeated, tag = "1")]
        pub(super) dim: Vec<Dimension>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Dimension {
        #[prost(string, tag = "2")]
        pub(super) name: String,
    }
}

const FLOAT: i32 = 1;
const INT64: i32 = 7;

/// A package with so many weights that quantizing them takes a while: a table and a head.
fn wide(home: &Path) -> std::path::PathBuf {
    use prost::Message as _;
    let weights = |name: &str, rows: usize, columns: usize| {
        let bytes = noise(rows as u64, rows * columns);
        let numbers = bytes.into_iter().map(|byte| f32::from(byte) / 1000.0 - 0.1);
        onnx::Tensor {
            dims: vec![rows as i64, columns as i64],
            data_type: FLOAT,
            name: name.to_owned(),
            raw_data: numbers.flat_map(f32::to_le_bytes).collect(),
        }
    };
    let node = |op_type: &str, input: [&str; 2], output: &str| onnx::Node {
        input: input.map(str::to_owned).into(),
        output: vec![output.to_owned()],
        op_type: op_type.to_owned(),
    };
    let value = |name: &str, element, dimensions: &[&str]| onnx::Value {
        name: name.to_owned(),
        kind: Some(onnx::Kind {
            tensor: Some(onnx::TensorKind {
                element,
                shape: Some(onnx::Shape {
                    dim: dimensions
                        .iter()
                        .map(|&name| onnx::Dimension {
                            name: name.to_owned(),
                        })
                        .collect(),
                }),
            }),
        }),
    };
    let model = onnx::Model {
        ir_version: 8,
        graph: Some(onnx::Graph {
            node: vec![
                node("Gather", ["table", "input_ids"], "hidden"),
                node("MatMul", ["hidden", "head"], "logits"),
            ],
            name: "wide".to_owned(),
            initializer: vec![weights("table", 8192, 256), weights("head", 256, 384)],
            input: vec![value("input_ids", INT64, &["B", "S"])],
            output: vec![value("logits", FLOAT, &["B", "S", "V"])],
        }),
        opset_import: vec![onnx::OperatorSet {
            domain: String::new(),
            version: 17,
        }],
    };
    let package = home.join("wide");
    fs::create_dir_all(&package).unwrap();
    let reference = testdata().join("parity/llama-bare");
    for file in ["config.json", "tokenizer.json"] {
        fs::copy(reference.join(file), package.join(file)).unwrap();
    }
    fs::write(package.join("model.onnx"), model.encode_to_vec()).unwrap();
    package
}

/// A daemon with a model that takes a while.
async fn with_a_wide_model() -> Daemon {
    let mut home = Home::new();
    // A machine of many cores would be done before it can be told to stop.
    home.set("AIRUNNER_RUNTIME_THREADS", "1");
    let daemon = Daemon::start_in(home).await;
    let package = wide(daemon.home.path());
    let package = package.to_str().unwrap();
    let import = ["models", "import", package, "--name", "wide"];
    daemon.home.cli().run(&import).await.succeeded();
    daemon
}

#[tokio::test]
async fn the_second_waits_for_its_turn_and_says_so() {
    let daemon = with_a_wide_model().await;
    let first = ["models", "quantize", "wide", "--level", "q4_s"];
    let mut first = daemon.home.cli().spawn(&first);
    let maker = eventually_ok("it is under way", async || {
        let makers = helpers_of(daemon.pid(), "quantize");
        makers.first().copied().ok_or(makers)
    })
    .await;
    send_signal(maker, STOP);
    let second = ["models", "quantize", "wide", "--level", "q8"];
    let mut second = daemon.home.cli().spawn(&second);
    let number = eventually_ok("one goes on and one waits", async || {
        let status = daemon.home.cli().json(&["status"]).await;
        let activities = status["activities"].as_array().unwrap();
        let waiting: Vec<_> = activities.iter().map(|one| one["waiting"].as_bool()).collect();
        if waiting == [Some(false), Some(true)] {
            Ok(activities[1]["id"].to_string())
        } else {
            Err(status)
        }
    })
    .await;
    let text = daemon.home.cli().run(&["status"]).await.succeeded().stdout;
    let line = format!("quantizing wide: waiting for its turn; airunner cancel {number} gives it up");
    assert!(text.contains(&line), "{text}");
    let cancel = daemon.home.cli().run(&["cancel", &number]).await;
    cancel.succeeded();
    assert!(!second.wait().await.unwrap().success());
    send_signal(maker, CONTINUE);
    assert!(first.wait().await.unwrap().success());
    daemon.stop().await;
}

const STOP: i32 = 19;
const KILL: i32 = 9;
const CONTINUE: i32 = 18;

/// Begins a job; its address, and the process that works on it, stopped.
async fn begun(daemon: &Daemon, text: Option<&str>) -> (String, u32) {
    let http = daemon.http().await;
    let body = json!({"model": "wide", "level": "q4_s", "text": text});
    let reply = http.post("/api/v1/models/quantize", &body).await;
    let job = format!("/api/v1/jobs/{}", reply.json()["id"].as_str().unwrap());
    let maker = eventually_ok("it is under way", async || {
        let makers = helpers_of(daemon.pid(), "quantize");
        makers.first().copied().ok_or(makers)
    })
    .await;
    send_signal(maker, STOP);
    (job, maker)
}

async fn until_nothing_is_left(daemon: &Daemon) {
    eventually_ok("nothing is left", async || {
        let left = leftovers(daemon);
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}

#[tokio::test]
async fn a_comparison_is_given_up_as_well() {
    let daemon = with_a_wide_model().await;
    let (job, maker) = begun(&daemon, Some("One and one is two.")).await;
    // In place of the text lies what nobody writes to: the comparison begins and waits.
    let text = leftovers(&daemon)
        .into_iter()
        .find(|file| file.ends_with(".text"));
    let text = daemon.home.path().join(text.unwrap());
    fs::remove_file(&text).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&text).status().unwrap();
    assert!(made.success());
    send_signal(maker, CONTINUE);
    let http = daemon.http().await;
    let comparing = eventually_ok("the models are compared", async || {
        let found = http.get(&job).await.ok();
        // Quantizing is six tenths.
        if found["progress"].as_f64() >= Some(0.599) {
            Ok(found)
        } else {
            Err(found)
        }
    })
    .await;
    assert_eq!(comparing["state"], "running", "{comparing}");
    assert_eq!(http.delete(&job).await.ok()["state"], "cancelled");
    until_nothing_is_left(&daemon).await;
    eventually_ok("its process is gone", async || {
        if is_alive(maker) { Err(()) } else { Ok(()) }
    })
    .await;
    assert_eq!(http.get("/api/v1/models/wide-q4_s").await.status, 404);
    daemon.stop().await;
}

#[tokio::test]
async fn a_killed_daemon_leaves_nothing_half_made_and_begins_again() {
    let mut daemon = with_a_wide_model().await;
    let (job, maker) = begun(&daemon, None).await;
    send_signal(maker, CONTINUE);
    eventually_ok("it writes weights", async || {
        let files = leftovers(&daemon);
        let is_there = files.iter().any(|file| file.ends_with(".data"));
        if is_there { Ok(()) } else { Err(files) }
    })
    .await;
    send_signal(maker, STOP);
    let before = leftovers(&daemon);
    assert!(!before.is_empty());
    daemon.end_by(KILL).await;
    // It dies with the daemon, stopped as it is.
    eventually_ok("its process is gone", async || {
        if is_alive(maker) { Err(()) } else { Ok(()) }
    })
    .await;
    assert_eq!(leftovers(&daemon), before, "nobody could clean up");
    daemon.start_again().await;
    let http = daemon.http().await;
    let done = eventually_ok("the job is over", async || {
        let found = http.get(&job).await.ok();
        if found["state"] == "completed" {
            Ok(found)
        } else {
            Err(found)
        }
    })
    .await;
    assert_eq!(done["result"]["model"], "wide-q4_s");
    until_nothing_is_left(&daemon).await;
    let verify = ["models", "verify", "wide-q4_s"];
    daemon.home.cli().run(&verify).await.succeeded();
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_given_up_leaves_nothing() {
    let daemon = with_a_wide_model().await;
    let nothing_is_left = async || {
        eventually_ok("nothing is left", async || {
            let left = leftovers(&daemon);
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    };

    let http = daemon.http().await;
    let body = json!({"model": "wide", "level": "q4_s"});
    let reply = http.post("/api/v1/models/quantize", &body).await;
    let job = format!("/api/v1/jobs/{}", reply.json()["id"].as_str().unwrap());
    eventually_ok("it is under way", async || {
        let job = http.get(&job).await.ok();
        if job["progress"].as_f64() > Some(0.0) {
            Ok(())
        } else {
            Err(job)
        }
    })
    .await;
    assert_eq!(http.delete(&job).await.ok()["state"], "cancelled");
    nothing_is_left().await;

    let arguments = ["models", "quantize", "wide", "--level", "q4_s"];
    let mut command = daemon.home.cli().spawn(&arguments);
    eventually_ok("it is under way", async || {
        if leftovers(&daemon).is_empty() {
            Err(())
        } else {
            Ok(())
        }
    })
    .await;
    command.kill().await.unwrap();
    nothing_is_left().await;
    assert_eq!(http.get("/api/v1/models/wide-q4_s").await.status, 404);
    assert_eq!(http.get("/api/v1/models/wide").await.status, 200);
    daemon.stop().await;
}
