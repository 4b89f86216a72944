//! Every crate that is linked into the programs, with its licence and the texts it is published with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::platform::Platform;
use super::programs::Program;
use crate::workspace::Workspace;
use crate::{process, release};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    /// An expression of SPDX identifiers.
    pub(super) licence: String,
    pub(super) authors: Vec<String>,
    pub(super) repository: Option<String>,
    /// Of the archive at the registry.
    pub(super) sha256: Option<String>,
    /// A member of this workspace.
    pub(super) ours: bool,
    /// Names and versions of what it uses of this list.
    pub(super) uses: Vec<Key>,
    /// Licence files of the crate, in the order of their names.
    pub(super) texts: Vec<String>,
    /// SQLite's version, in the crate that holds it.
    pub(super) sqlite: Option<String>,
}

/// Name and version.
pub(super) type Key = (String, String);

impl Crate {
    pub(super) fn key(&self) -> Key {
        (self.name.clone(), self.version.clone())
    }
}

/// What this needs of `cargo metadata`.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    license_file: Option<PathBuf>,
    repository: Option<String>,
    #[serde(default)]
    authors: Vec<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// Sorted by name and version; procedural macros and what only builds or tests use is not in a
/// program and not in this list.
pub(super) fn crates(
    workspace: &Workspace,
    platform: Platform,
    programs: &[Program],
) -> anyhow::Result<Vec<Crate>> {
    let linked = linked(workspace, platform, programs)?;
    let mut command = workspace.cargo(&["metadata", "--locked", "--format-version", "1"]);
    let text = process::output(command.args(["--filter-platform", platform.triple]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("cannot read what `cargo metadata` said")?;
    let lock = fs::read_to_string(workspace.root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let checksums = checksums(&lock);
    let uses = uses(&metadata, &linked);
    let mut crates = Vec::new();
    for package in &metadata.packages {
        let key = (package.name.clone(), package.version.clone());
        if linked.contains(&key) {
            crates.push(described(
                package,
                &checksums,
                uses.get(&key).cloned().unwrap_or_default(),
            )?);
        }
    }
    crates.sort_by_key(Crate::key);
    if crates.len() != linked.len() {
        bail!("`cargo tree` and `cargo metadata` disagree about what is linked");
    }
    Ok(crates)
}

/// What `cargo tree` finds in the programs, with only the features that they ask for.
fn linked(workspace: &Workspace, platform: Platform, programs: &[Program]) -> anyhow::Result<BTreeSet<Key>> {
    let mut command: Command = workspace.cargo(&["tree", "--locked", "--prefix", "none", "--format", "{p}"]);
    command.args(["--edges", "normal,no-proc-macro", "--target", platform.triple]);
    for shipped in release::shipped(workspace)? {
        if programs.iter().any(|program| program.name == shipped.program) {
            command.args(["-p", shipped.package]);
        }
    }
    Ok(process::output(&mut command)?
        .lines()
        .filter_map(key_of)
        .collect())
}

/// `half v2.7.1`, perhaps with a place and marks behind it.
fn key_of(line: &str) -> Option<Key> {
    let mut words = line.split(' ');
    let name = words.next().filter(|name| !name.is_empty())?;
    let version = words.next()?.strip_prefix('v')?;
    Some((name.to_owned(), version.to_owned()))
}

fn uses(metadata: &Metadata, linked: &BTreeSet<Key>) -> BTreeMap<Key, Vec<Key>> {
    let keys: BTreeMap<&str, Key> = metadata
        .packages
        .iter()
        .map(|package| {
            (
                package.id.as_str(),
                (package.name.clone(), package.version.clone()),
            )
        })
        .filter(|(_, key)| linked.contains(key))
        .collect();
    let mut uses = BTreeMap::new();
    for node in &metadata.resolve.nodes {
        if let Some(key) = keys.get(node.id.as_str()) {
            let used: BTreeSet<Key> = node
                .dependencies
                .iter()
                .filter_map(|id| keys.get(id.as_str()).cloned())
                .collect();
            uses.insert(key.clone(), used.into_iter().collect());
        }
    }
    uses
}

/// sha256 by name and version, out of `Cargo.lock`.
fn checksums(lock: &str) -> BTreeMap<Key, String> {
    let field = |block: &str, name: &str| {
        let start = format!("{name} = \"");
        let line = block.lines().find_map(|line| line.strip_prefix(start.as_str()))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|block| {
            let key = (field(block, "name")?, field(block, "version")?);
            Some((key, field(block, "checksum")?))
        })
        .collect()
}

fn described(package: &Package, checksums: &BTreeMap<Key, String>, uses: Vec<Key>) -> anyhow::Result<Crate> {
    let directory = package
        .manifest_path
        .parent()
        .context("a manifest is in a directory")?;
    let licence = package
        .license
        .as_deref()
        .with_context(|| format!("{} {} names no licence", package.name, package.version))?;
    Ok(Crate {
        name: package.name.clone(),
        version: package.version.clone(),
        licence: expression(licence),
        authors: package.authors.clone(),
        repository: package.repository.clone(),
        sha256: checksums
            .get(&(package.name.clone(), package.version.clone()))
            .cloned(),
        ours: package.source.is_none(),
        uses,
        texts: texts(directory, package.license_file.as_deref())?,
        sqlite: sqlite_version(directory),
    })
}

/// Crates from before there were expressions separate alternatives with a slash.
fn expression(licence: &str) -> String {
    let parts: Vec<&str> = licence.split('/').map(str::trim).collect();
    parts.join(" OR ")
}

/// Beginnings of names that licence files have.
const NAMES: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];
/// No licence is longer; a source file that happens to be called so may be.
const LONGEST_TEXT: u64 = 200_000;

fn texts(directory: &Path, named: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_uppercase();
        let small =
            fs::metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() < LONGEST_TEXT);
        if small && NAMES.iter().any(|start| name.starts_with(start)) {
            files.insert(path);
        }
    }
    files.extend(
        named
            .map(|file| directory.join(file))
            .filter(|file| file.is_file()),
    );
    let mut texts: Vec<String> = Vec::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let text = tidy(&String::from_utf8_lossy(&bytes));
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    Ok(texts)
}

/// Without differences that nobody sees, so that equal texts are found equal.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_matches('\n'))
}

/// The version of the SQLite whose source this crate holds.
fn sqlite_version(directory: &Path) -> Option<String> {
    let header = fs::read_to_string(directory.join("sqlite3/sqlite3.h")).ok()?;
    let line = header
        .lines()
        .find(|line| line.starts_with("#define SQLITE_VERSION "))?;
    line.split('"').nth(1).map(str::to_owned)
}

#[cfg(test)]
pub(super) fn sample() -> Vec<Crate> {
    let of = |name: &str, licence: &str, uses: &[&str]| Crate {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        licence: licence.to_owned(),
        authors: vec!["Somebody".to_owned()],
        repository: Some(format!("https://example.org/{name}")),
        sha256: Some("cd".repeat(32)),
        ours: false,
        uses: uses
            .iter()
            .map(|used| ((*used).to_owned(), "1.0.0".to_owned()))
            .collect(),
        texts: vec![format!("the licence {licence}\n")],
        sqlite: None,
    };
    vec![
        Crate {
            ours: true,
            sha256: None,
            ..of("airunner-daemon", "MIT OR Apache-2.0", &["bundled", "half"])
        },
        Crate {
            sqlite: Some("3.54.1".to_owned()),
            ..of("bundled", "MIT", &[])
        },
        of("half", "MIT", &[]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, version: &str) -> Key {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn lines_of_the_tree_and_blocks_of_the_lock_are_read() {
        assert_eq!(key_of("half v2.7.1"), Some(key("half", "2.7.1")));
        assert_eq!(
            key_of("ours v0.1.0 (/some/place) (*)"),
            Some(key("ours", "0.1.0"))
        );
        assert_eq!(key_of(""), None);
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0\"\nchecksum = \"00ff\"\n\n\
                    [[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        let found = checksums(lock);
        assert_eq!(found.len(), 1);
        assert_eq!(found[&key("a", "1.0")], "00ff");
    }

    #[test]
    fn old_ways_to_name_two_licences_become_expressions() {
        assert_eq!(expression("MIT/Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(expression("MIT / Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(
            expression("(MIT OR Apache-2.0) AND Unicode-3.0"),
            "(MIT OR Apache-2.0) AND Unicode-3.0"
        );
    }

    #[test]
    fn licence_files_are_found_by_their_names_and_taken_once() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("LICENSE-MIT", "MIT  \r\ntext\r\n\r\n");
        write("license-mit.txt", "MIT\ntext");
        write("NOTICE", "noted");
        write("lib.rs", "code");
        write("terms", "special");
        let found = texts(directory.path(), Some(Path::new("terms"))).unwrap();
        assert_eq!(found, ["MIT\ntext\n", "noted\n", "special\n"]);
    }
}
