//! The scripts of `tests/clients`.

use std::path::{Path, PathBuf};

use airunner_tests::{Clients, client_daemon, repository};
use libtest_mimic::Trial;

/// Whose program runs a script.
#[derive(Clone, Copy)]
enum Language {
    Python,
    Node,
}

impl Language {
    fn of(name: &str) -> Option<Self> {
        if name.starts_with("test_") && name.ends_with(".py") {
            Some(Self::Python)
        } else if name.ends_with(".test.mjs") {
            Some(Self::Node)
        } else {
            None
        }
    }
}

pub(crate) fn trials(clients: Option<&Clients>) -> Vec<Trial> {
    let mut found: Vec<(String, Language)> = files()
        .iter()
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            Some((name.to_owned(), Language::of(name)?))
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
        .into_iter()
        .map(|(name, language)| {
            let script = name.clone();
            super::trial(&name, clients, move |clients| {
                super::block(run(&script, language, clients))
            })
        })
        .collect()
}

fn folder() -> PathBuf {
    repository().join("tests/clients")
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("the scripts are committed");
    entries.flatten().map(|entry| entry.path()).collect()
}

async fn run(name: &str, language: Language, clients: &Clients) -> Result<(), String> {
    let daemon = client_daemon().await;
    let result = match language {
        Language::Python => {
            let mut command = daemon.client_command(&clients.python, clients).await;
            command
                .args(["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"])
                .arg(folder().join(name));
            daemon.run_client(command).await
        }
        Language::Node => {
            // Modules are looked for beside the script and above it, so it has to be below them.
            let copies = copied(&clients.node);
            let mut command = daemon.client_command(Path::new("node"), clients).await;
            command.arg("--test").arg(copies.path().join(name));
            daemon.run_client(command).await
        }
    };
    result?;
    daemon.stop().await;
    Ok(())
}

/// The scripts for Node.js and what they import, in a folder that goes away.
fn copied(environment: &Path) -> tempfile::TempDir {
    let copies = tempfile::Builder::new()
        .prefix("scripts-")
        .tempdir_in(environment)
        .expect("the environment is writable");
    for path in files() {
        if path.extension().is_some_and(|extension| extension == "mjs") {
            let name = path.file_name().expect("a file has a name");
            std::fs::copy(&path, copies.path().join(name)).expect("a script can be copied");
        }
    }
    copies
}
