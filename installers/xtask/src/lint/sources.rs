//! What every committed file has to keep to.

use std::path::Path;

use anyhow::{Context, bail};

use super::Outcome;
use crate::process;
use crate::workspace::Workspace;

/// A Rust file of more lines is to be split.
const MOST_LINES: usize = 600;

pub(super) fn check(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let mut complaints = Vec::new();
    for file in committed_files(&workspace.root)? {
        if file.ends_with(".rs") {
            let path = workspace.root.join(&file);
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
            complaints.extend(complaints_about(&file, &text));
        }
    }
    if complaints.is_empty() {
        return Ok(Outcome::Passed);
    }
    bail!("{}", complaints.join("\n"));
}

/// Files git knows or would add, relative to the root and still there.
fn committed_files(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut command = std::process::Command::new("git");
    command
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root);
    let listing = process::output(&mut command)?;
    Ok(listing
        .lines()
        .filter(|file| root.join(file).is_file())
        .map(str::to_owned)
        .collect())
}

fn complaints_about(file: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        complaints.push(format!("{file}: {lines} lines, more than {MOST_LINES}: split it"));
    }
    // Spelled in two parts, so that this file does not complain about itself.
    for word in [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("// TO", "DO"),
        concat!("// FIX", "ME"),
    ] {
        for (index, _) in text.lines().enumerate().filter(|(_, line)| line.contains(word)) {
            complaints.push(format!(
                "{file}:{}: `{word}`: finish it or leave it out",
                index + 1
            ));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_unfinished_files_are_named_with_their_line() {
        assert!(complaints_about("a.rs", &"line\n".repeat(MOST_LINES)).is_empty());
        assert!(complaints_about("a.rs", &"line\n".repeat(MOST_LINES + 1))[0].contains("601 lines"));
        let unfinished = format!("fn a() {{\n    {}\n}}\n", concat!("to", "do!()"));
        assert!(complaints_about("a.rs", &unfinished)[0].starts_with("a.rs:2:"));
    }
}
