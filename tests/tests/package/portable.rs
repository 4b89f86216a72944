//! The archive that runs from anywhere.

use std::path::Path;
use std::process::Command;

use airunner_tests::{Home, eventually_ok};

use crate::support::{EVERYWHERE, has_programs, listing, package, package_made_twice, successful};

/// A directory whose name is as awkward as names get.
const ODD: &str = "my programs/käse & 50%";

#[tokio::test]
async fn the_archive_runs_from_a_path_with_spaces_and_foreign_letters() {
    if !has_programs(&["tar", "xz"]) {
        return;
    }
    let package = package("tar");
    let place = package.output.join(ODD);
    std::fs::create_dir_all(&place).unwrap();
    successful(
        Command::new("tar")
            .args(["--extract", "--file"])
            .arg(&package.path)
            .arg("--directory")
            .arg(&place),
    );
    let root = only_child(&place);
    let found = listing(&root);
    for wanted in EVERYWHERE.into_iter().chain(["644 f README.txt"]) {
        assert!(found.iter().any(|line| line == wanted), "{wanted} in {found:#?}");
    }
    answers(&root.join("bin/airunner")).await;
}

fn only_child(directory: &Path) -> std::path::PathBuf {
    let mut entries = std::fs::read_dir(directory).unwrap();
    let child = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none(), "an archive unpacks into one directory");
    child
}

/// With its own library and model, and nothing that the tests set up.
async fn answers(program: &Path) {
    let home = Home::new();
    let run = |arguments: &[&str]| {
        let mut command = home.command(program);
        command
            .env_remove("ORT_DYLIB_PATH")
            .env_remove("AIRUNNER_MODELS_BUILTIN_DIRECTORY");
        successful(command.args(arguments))
    };
    run(&["start"]);
    let answer = run(&["chat", "builtin/helper", "How do I see which models are loaded?"]);
    assert!(answer.contains("airunner ps"), "{answer}");
    let status: serde_json::Value = serde_json::from_str(&run(&["status", "--json"])).unwrap();
    let pid = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
    let daemon = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(
        daemon,
        program.with_file_name("airunnerd").canonicalize().unwrap()
    );
    run(&["stop"]);
    eventually_ok("the daemon is gone", async || {
        if airunner_tests::is_alive(pid) {
            Err(pid)
        } else {
            Ok(())
        }
    })
    .await;
}

#[test]
fn two_archives_of_the_same_commit_are_the_same() {
    if !has_programs(&["tar", "xz"]) {
        return;
    }
    package_made_twice("tar");
}
