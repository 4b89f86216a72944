//! Hostile and damaged packages: refused with a reason, and nothing left behind.

#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

use airunner_tests::{Daemon, FakeModel, Home, testdata};

/// A copy of a sound reference package that a test may damage.
fn package(home: &Path, reference: &str) -> PathBuf {
    let copy = home.join("packages").join(reference);
    copy_folder(&testdata().join("parity").join(reference), &copy);
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target);
        } else {
            fs::copy(source, target).unwrap();
        }
    }
}

fn truncate(file: &Path, bytes: u64) {
    fs::OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(bytes)
        .unwrap();
}

/// Replaces text inside a binary file by text of the same length.
fn patch(file: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(file).unwrap();
    let mut found = false;
    for start in 0..bytes.len() - from.len() {
        if bytes[start..].starts_with(from.as_bytes()) {
            bytes[start..start + to.len()].copy_from_slice(to.as_bytes());
            found = true;
        }
    }
    assert!(found, "{from} is not in {}", file.display());
    fs::write(file, bytes).unwrap();
}

type Damage = fn(&Path);

const CASES: [(&str, &str, Damage, &str); 11] = [
    (
        "an empty graph",
        "llama-hf",
        |p| truncate(&p.join("onnx/model.onnx"), 0),
        "model_invalid",
    ),
    (
        "a truncated graph",
        "llama-hf",
        |p| truncate(&p.join("onnx/model.onnx"), 20_000),
        "model_invalid",
    ),
    (
        "a graph of garbage",
        "llama-hf",
        |p| fs::write(p.join("onnx/model.onnx"), [0xff; 5000]).unwrap(),
        "model_invalid",
    ),
    (
        "no graph",
        "llama-hf",
        |p| fs::remove_file(p.join("onnx/model.onnx")).unwrap(),
        "model_incompatible",
    ),
    (
        "a configuration of garbage",
        "llama-hf",
        |p| fs::write(p.join("config.json"), "{").unwrap(),
        "model_invalid",
    ),
    (
        "weights outside the package",
        "llama-gqa",
        |p| patch(&p.join("model.onnx"), "model.onnx.data", "../../../secret"),
        "model_invalid",
    ),
    (
        "weights behind a link",
        "llama-gqa",
        |p| {
            fs::remove_file(p.join("model.onnx.data")).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", p.join("model.onnx.data")).unwrap();
        },
        "model_invalid",
    ),
    (
        "weights shorter than declared",
        "llama-gqa",
        |p| truncate(&p.join("model.onnx.data"), 1000),
        "model_invalid",
    ),
    (
        "missing weights",
        "llama-gqa",
        |p| fs::remove_file(p.join("model.onnx.data")).unwrap(),
        "model_invalid",
    ),
    (
        "a tokenizer of a gigabyte",
        "llama-hf",
        |p| truncate(&p.join("tokenizer.json"), 1 << 30),
        "model_invalid",
    ),
    (
        "a device instead of a file",
        "llama-hf",
        |p| {
            fs::remove_file(p.join("tokenizer.json")).unwrap();
            std::os::unix::fs::symlink("/dev/zero", p.join("tokenizer.json")).unwrap();
        },
        "model_invalid",
    ),
];

#[tokio::test]
async fn a_damaged_or_hostile_package_is_refused_and_leaves_nothing() {
    let daemon = Daemon::start().await;
    let cli = daemon.home.cli();
    for (what, reference, damage, expected) in CASES {
        let directory = package(daemon.home.path(), reference);
        damage(&directory);
        let path = directory.to_str().unwrap();
        let (_, reason, message) = cli.refusal(&["models", "import", path, "--name", "bad"]).await;
        assert_eq!(reason, expected, "{what}: {message}");
        assert!(daemon.home.files_in("data/models").is_empty(), "{what}");
        fs::remove_dir_all(directory).unwrap();
    }
    daemon.stop().await;
}

#[tokio::test]
async fn damage_after_the_import_is_found_at_the_load() {
    let daemon = Daemon::start().await;
    let cli = daemon.home.cli();
    let directory = package(daemon.home.path(), "llama-gqa");
    cli.run(&["models", "import", directory.to_str().unwrap(), "--name", "a/b"])
        .await
        .succeeded();
    let installed = daemon.home.path().join("data/models/a+b");
    truncate(&installed.join("model.onnx.data"), 1000);
    assert_eq!(cli.refusal(&["load", "a/b"]).await.1, "model_invalid");
    fs::remove_dir_all(&installed).unwrap();
    let (_, reason, message) = cli.refusal(&["load", "a/b"]).await;
    assert_eq!(reason, "model_invalid", "{message}");
    daemon.stop().await;
}

#[tokio::test]
async fn names_are_taken_once_and_paths_must_exist() {
    let daemon = Daemon::with_models(&[FakeModel::new("tiny")]).await;
    let cli = daemon.home.cli();
    let directory = FakeModel::new("other").write_below(daemon.home.path());
    let directory = directory.to_str().unwrap();
    for name in ["tiny", "TINY"] {
        assert_eq!(
            cli.refusal(&["models", "import", directory, "--name", name])
                .await
                .1,
            "already_exists"
        );
    }
    for name in ["..", "/etc", "a/../b", "builtin/mine"] {
        let (_, reason, _) = cli
            .refusal(&["models", "import", directory, "--name", name])
            .await;
        assert!(
            ["invalid_argument", "permission_denied"].contains(&reason.as_str()),
            "{name}: {reason}"
        );
    }
    let missing = daemon.home.path().join("nowhere");
    let (_, reason, _) = cli
        .refusal(&["models", "import", missing.to_str().unwrap(), "--name", "x"])
        .await;
    assert_eq!(reason, "not_found");
    daemon.stop().await;
}

#[tokio::test]
async fn a_library_inside_a_package_is_ignored_and_said_so() {
    let daemon = Daemon::start().await;
    let cli = daemon.home.cli();
    let directory = package(daemon.home.path(), "llama-gqa");
    let config = directory.join("genai_config.json");
    let mut json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    json["model"]["decoder"]["session_options"]["custom_ops_library"] = "evil.so".into();
    fs::write(&config, json.to_string()).unwrap();
    cli.run(&["models", "import", directory.to_str().unwrap(), "--name", "x"])
        .await
        .succeeded();
    cli.run(&["chat", "x", "hello", "--raw", "--max-tokens", "2"])
        .await
        .succeeded();
    daemon.until_logged("custom_ops_library").await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_template_that_never_ends_costs_one_request() {
    let daemon = Daemon::start().await;
    let cli = daemon.home.cli();
    let directory = package(daemon.home.path(), "qwen2-hf");
    let _ = fs::remove_file(directory.join("chat_template.jinja"));
    let template = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
    fs::write(directory.join("chat_template.jinja"), template).unwrap();
    cli.run(&["models", "import", directory.to_str().unwrap(), "--name", "x"])
        .await
        .succeeded();
    assert_eq!(cli.refusal(&["chat", "x", "hello"]).await.1, "template_failed");
    cli.run(&["chat", "x", "hello", "--raw", "--max-tokens", "2"])
        .await
        .succeeded();
    daemon.stop().await;
}

#[tokio::test]
async fn an_unknown_cache_layout_is_named() {
    let daemon = Daemon::start().await;
    let cli = daemon.home.cli();
    let directory = package(daemon.home.path(), "llama-hf");
    patch(
        &directory.join("onnx/model.onnx"),
        "past_key_values.0.key",
        "past_kex_values.0.key",
    );
    let path = directory.to_str().unwrap();
    let imported = cli
        .run(&["models", "import", path, "--name", "x", "--json"])
        .await;
    let output = if imported.code == 0 {
        cli.run(&["load", "x", "--json"]).await
    } else {
        imported
    };
    assert_eq!(
        output.json()["error"]["reason"],
        "model_incompatible",
        "{output:?}"
    );
    assert!(
        output.stdout.contains("past_kex_values.0.key"),
        "names the input: {output:?}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_refused_with_both_numbers() {
    let daemon = Daemon::start().await;
    let cli = daemon.home.cli();
    let directory = package(daemon.home.path(), "llama-gqa");
    cli.run(&["models", "import", directory.to_str().unwrap(), "--name", "x"])
        .await
        .succeeded();
    let context = {
        cli.run(&["load", "x"]).await.succeeded();
        daemon.ps("x").await.unwrap()["context_length"].as_u64().unwrap()
    };
    for bytes in [20_000, 10 << 20] {
        let prompt = "word ".repeat(bytes / 5);
        let output = cli
            .run_with_input(&["chat", "x", "-", "--raw", "--json"], &prompt)
            .await;
        let error = &output.json()["error"];
        assert_eq!(error["reason"], "context_length_exceeded", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&context.to_string()), "{message}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_wrong_runtime_library_is_explained() {
    let mut home = Home::new();
    let nonsense = home.path().join("libonnxruntime.so");
    fs::write(&nonsense, "not a library").unwrap();
    home.set(
        "AIRUNNER_RUNTIME_ONNXRUNTIME_LIBRARY",
        nonsense.to_str().unwrap().to_owned(),
    );
    let daemon = Daemon::start_in(home).await;
    let cli = daemon.home.cli();
    let directory = package(daemon.home.path(), "llama-gqa");
    cli.run(&["models", "import", directory.to_str().unwrap(), "--name", "x"])
        .await
        .succeeded();
    let (_, reason, message) = cli.refusal(&["load", "x"]).await;
    assert_eq!(reason, "runtime_missing", "{message}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_full_disk_fails_the_import_and_nothing_else() {
    let mount = tempfile::tempdir().unwrap();
    let mount_path = mount.path().to_str().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", mount_path])
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        eprintln!("SKIPPED: a small file system cannot be mounted here");
        return;
    }
    let _unmount = Unmount(mount_path.to_owned());
    let mut home = Home::new();
    home.set("AIRUNNER_HOME", mount_path.to_owned());
    let source = tempfile::tempdir().unwrap();
    let large = FakeModel::new("large").write_below(source.path());
    truncate_new(&large.join("weights.bin"), 8 << 20);
    let small = FakeModel::new("small")
        .speaks(&["fine"])
        .write_below(source.path());
    let daemon = Daemon::start_in(home).await;
    let cli = daemon.home.cli();
    let (_, reason, message) = cli
        .refusal(&["models", "import", large.to_str().unwrap(), "--name", "large"])
        .await;
    assert_eq!(reason, "disk_full", "{message}");
    cli.run(&["models", "import", small.to_str().unwrap(), "--name", "small"])
        .await
        .succeeded();
    assert_eq!(cli.json(&["chat", "small", "x"]).await["text"], "fine");
    daemon.stop().await;
}

fn truncate_new(file: &Path, bytes: usize) {
    fs::write(file, vec![1; bytes]).unwrap();
}

struct Unmount(String);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .args(["-l", &self.0])
            .status();
    }
}
