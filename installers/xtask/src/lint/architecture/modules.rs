//! The direction of imports between the top-level modules of the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::paths;

/// Roots of a process, the daemon's and a worker's: they know everyone, and nobody knows them.
const COMPOSITION: [&str; 4] = ["app", "lib", "main", "worker"];
/// Where requests come in; none knows another.
const DOORS: [&str; 2] = ["ipc", "http"];
/// What domains stand on.
const FOUNDATION: [&str; 5] = ["config", "logging", "shutdown", "storage", "workers"];
/// The daemon's side of a worker starts the other side, so it knows its arguments.
const EXCEPTIONS: [(&str, &str); 1] = [("workers", "worker")];
/// Crates of the wire, which no domain may name.
const WIRE: [&str; 5] = ["tonic", "prost", "prost_types", "axum", "airunner_proto"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layer {
    Composition,
    Door,
    /// Everything that is not listed above.
    Domain,
    Foundation,
}

fn layer(module: &str) -> Layer {
    if COMPOSITION.contains(&module) {
        Layer::Composition
    } else if DOORS.contains(&module) {
        Layer::Door
    } else if FOUNDATION.contains(&module) {
        Layer::Foundation
    } else {
        Layer::Domain
    }
}

/// What a top-level module names: sibling modules and crates.
#[derive(Default)]
struct Module {
    siblings: BTreeSet<String>,
    crates: BTreeSet<String>,
}

pub(super) fn complaints(source: &Path) -> anyhow::Result<Vec<String>> {
    Ok(judge(&read(source)?))
}

fn judge(modules: &BTreeMap<String, Module>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, module) in modules {
        for sibling in module
            .siblings
            .iter()
            .filter(|sibling| *sibling != name && modules.contains_key(*sibling))
        {
            complaints.extend(refusal(name, sibling));
        }
        if layer(name) == Layer::Domain {
            let wire = module
                .crates
                .iter()
                .filter(|other| WIRE.contains(&other.as_str()));
            complaints.extend(wire.map(|other| {
                format!("daemon: the domain {name} names {other}: wire types stop at the door")
            }));
        }
    }
    complaints
        .extend(cycle(modules).map(|path| format!("daemon: domains in a circle: {}", path.join(" -> "))));
    complaints
}

/// Why `name` may not import `sibling`, if so.
fn refusal(name: &str, sibling: &str) -> Option<String> {
    if EXCEPTIONS.contains(&(name, sibling)) {
        return None;
    }
    let refused = match (layer(name), layer(sibling)) {
        (Layer::Composition, _) | (_, Layer::Foundation) | (Layer::Door | Layer::Domain, Layer::Domain) => {
            false
        }
        (Layer::Door | Layer::Domain | Layer::Foundation, Layer::Composition | Layer::Door)
        | (Layer::Foundation, Layer::Domain) => true,
    };
    refused.then(|| format!("daemon: {name} may not import {sibling}"))
}

/// A circle of domains that import each other, if there is one.
fn cycle(modules: &BTreeMap<String, Module>) -> Option<Vec<String>> {
    let domains = modules.keys().filter(|name| layer(name) == Layer::Domain);
    domains.into_iter().find_map(|start| {
        let mut path = vec![start.clone()];
        reaches(modules, start, start, &mut path, &mut BTreeSet::new()).then_some(path)
    })
}

fn reaches(
    modules: &BTreeMap<String, Module>,
    from: &str,
    goal: &str,
    path: &mut Vec<String>,
    seen: &mut BTreeSet<String>,
) -> bool {
    let Some(module) = modules.get(from) else {
        return false;
    };
    for next in module
        .siblings
        .iter()
        .filter(|next| *next != from && layer(next) == Layer::Domain)
    {
        path.push(next.clone());
        if next == goal || (seen.insert(next.clone()) && reaches(modules, next, goal, path, seen)) {
            return true;
        }
        path.pop();
    }
    false
}

/// Every source file below `source`, gathered by top-level module.
fn read(source: &Path) -> anyhow::Result<BTreeMap<String, Module>> {
    let mut modules = BTreeMap::<String, Module>::new();
    let mut pending = vec![source.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries =
                std::fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?;
            pending.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let place = module_path(path.strip_prefix(source).unwrap_or(&path));
            let found = paths::in_source(&text, &place);
            let module = modules
                .entry(place.first().cloned().unwrap_or_default())
                .or_default();
            module.siblings.extend(found.siblings);
            module.crates.extend(found.roots);
        }
    }
    Ok(modules)
}

/// `models/actor.rs` and `models/actor/mod.rs` are both `[models, actor]`.
fn module_path(file: &Path) -> Vec<String> {
    let file: PathBuf = file.with_extension("");
    let names = file.iter().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name != "mod").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(table: &[(&str, &[&str], &[&str])]) -> BTreeMap<String, Module> {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let entry = |&(name, siblings, crates): &(&str, &[&str], &[&str])| {
            (
                name.to_owned(),
                Module {
                    siblings: set(siblings),
                    crates: set(crates),
                },
            )
        };
        table.iter().map(entry).collect()
    }

    #[test]
    fn the_layers_as_designed_pass() {
        let good = modules(&[
            ("app", &["ipc", "http", "models", "config"], &["tonic"]),
            ("ipc", &["models", "inference"], &["tonic", "airunner_proto"]),
            ("http", &["models", "config"], &["axum"]),
            ("inference", &["models", "workers"], &["tokio"]),
            ("models", &["workers", "storage"], &["tokio"]),
            ("workers", &["config"], &["tonic"]),
            ("storage", &[], &[]),
            ("config", &[], &[]),
        ]);
        assert_eq!(judge(&good), Vec::<String>::new());
    }

    #[test]
    fn every_crossing_is_named() {
        for (table, words) in [
            (
                modules(&[("ipc", &["http"], &[]), ("http", &[], &[])]),
                "ipc may not import http",
            ),
            (
                modules(&[("models", &["ipc"], &[]), ("ipc", &[], &[])]),
                "models may not import ipc",
            ),
            (
                modules(&[("models", &["app"], &[]), ("app", &[], &[])]),
                "models may not import app",
            ),
            (
                modules(&[("storage", &["models"], &[]), ("models", &[], &[])]),
                "storage may not import models",
            ),
            (
                modules(&[("models", &[], &["tonic"])]),
                "the domain models names tonic",
            ),
            (
                modules(&[("a", &["b"], &[]), ("b", &["c"], &[]), ("c", &["a"], &[])]),
                "circle: a -> b -> c -> a",
            ),
        ] {
            let found = judge(&table);
            assert_eq!(found.len(), 1, "{found:#?}");
            assert!(found[0].contains(words), "{found:#?}");
        }
    }

    #[test]
    fn files_belong_to_the_module_their_path_says() {
        for (file, expected) in [
            ("models/actor.rs", vec!["models", "actor"]),
            ("ipc/mod.rs", vec!["ipc"]),
            ("lib.rs", vec!["lib"]),
        ] {
            assert_eq!(module_path(Path::new(file)), expected);
        }
    }
}
