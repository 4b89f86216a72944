//! The examples in `docs/api`: every fenced block of a language that can be run, as it stands.

use std::path::{Path, PathBuf};

use airunner_tests::{Clients, Daemon, repository};
use libtest_mimic::Trial;

/// Where the examples look for the daemon. The one that runs them has another port.
const USUAL: &str = "127.0.0.1:8484";

/// A block of a page.
struct Example {
    page: String,
    /// Where it begins.
    line: usize,
    language: Language,
    text: String,
}

#[derive(Clone, Copy)]
enum Language {
    Shell,
    Python,
    JavaScript,
}

impl Language {
    /// Blocks of other languages, such as answers in JSON, are not run.
    fn of(fence: &str) -> Option<Self> {
        match fence.strip_prefix("```")?.trim() {
            "sh" => Some(Self::Shell),
            "python" => Some(Self::Python),
            "js" | "javascript" => Some(Self::JavaScript),
            _ => None,
        }
    }
}

pub(crate) fn trials(clients: Option<&Clients>) -> Vec<Trial> {
    let examples = examples();
    examples
        .into_iter()
        .map(|example| {
            let name = format!("docs/api/{}:{}", example.page, example.line);
            super::trial(&name, clients, move |clients| {
                super::block(run(&example, clients))
            })
        })
        .collect()
}

fn examples() -> Vec<Example> {
    let folder = repository().join("docs/api");
    let entries = std::fs::read_dir(folder).expect("the guides are committed");
    let mut pages: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    pages.iter().flat_map(|page| blocks(page)).collect()
}

fn blocks(path: &Path) -> Vec<Example> {
    let page = path.file_name().expect("a page has a name").to_string_lossy();
    let text = std::fs::read_to_string(path).expect("a page can be read");
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, fence)) = lines.next() {
        if !fence.starts_with("```") {
            continue;
        }
        let block: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        if let Some(language) = Language::of(fence) {
            found.push(Example {
                page: page.to_string(),
                line: index + 1,
                language,
                text: block.join("\n") + "\n",
            });
        }
    }
    found
}

async fn run(example: &Example, clients: &Clients) -> Result<(), String> {
    let daemon = Daemon::start().await;
    let folder = tempfile::Builder::new()
        .prefix("example-")
        .tempdir_in(&clients.node)
        .expect("the environment is writable");
    let (program, name) = match example.language {
        Language::Shell => (Path::new("bash"), "example.sh"),
        Language::Python => (clients.python.as_path(), "example.py"),
        Language::JavaScript => (Path::new("node"), "example.mjs"),
    };
    let script = folder.path().join(name);
    let text = example.text.replace(USUAL, daemon.http().await.authority());
    std::fs::write(&script, text).expect("the folder is writable");
    let mut command = daemon.client_command(program, clients).await;
    if matches!(example.language, Language::Shell) {
        command.arg("-euo").arg("pipefail");
    }
    command.arg(&script);
    daemon.run_client(command).await?;
    daemon.stop().await;
    Ok(())
}
