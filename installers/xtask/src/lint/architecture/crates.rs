//! The direction of dependencies between crates.

use crate::workspace::Package;

/// Each crate, and the crates of this workspace it may depend on directly.
const DIRECTIONS: [(&str, &[&str]); 11] = [
    ("airunner-core", &[]),
    ("airunner-kernels", &[]),
    ("airunner-platform", &["airunner-core"]),
    ("airunner-proto", &["airunner-core"]),
    ("airunner-runtimes", &["airunner-core", "airunner-kernels"]),
    (
        "airunner-ipc-client",
        &["airunner-proto", "airunner-core", "airunner-platform"],
    ),
    (
        "airunner-cli",
        &["airunner-ipc-client", "airunner-core", "airunner-platform"],
    ),
    (
        "airunner-tray",
        &["airunner-ipc-client", "airunner-core", "airunner-platform"],
    ),
    (
        "airunner-daemon",
        &[
            "airunner-proto",
            "airunner-core",
            "airunner-runtimes",
            "airunner-platform",
        ],
    ),
    (
        "airunner-tests",
        &[
            "airunner-cli",
            "airunner-core",
            "airunner-daemon",
            "airunner-ipc-client",
            "airunner-platform",
            "airunner-proto",
            "airunner-runtimes",
        ],
    ),
    ("xtask", &[]),
];

/// Outside crates that only these may depend on directly.
const CONFINED: [(&str, &[&str]); 6] = [
    ("ort", &["airunner-runtimes"]),
    ("rusqlite", &["airunner-daemon"]),
    ("interprocess", &["airunner-platform"]),
    ("axum", &["airunner-daemon"]),
    (
        "tonic",
        &[
            "airunner-proto",
            "airunner-ipc-client",
            "airunner-daemon",
            "airunner-tests",
        ],
    ),
    ("clap", &["airunner-cli", "xtask"]),
];

/// The crate that decides does nothing else: none of these in it.
const NEVER_IN_CORE: [&str; 8] = [
    "tokio",
    "tonic",
    "prost",
    "ort",
    "hyper",
    "axum",
    "rusqlite",
    "tracing-subscriber",
];

pub(super) fn complaints(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        let Some((_, allowed)) = DIRECTIONS.iter().find(|(name, _)| *name == package.name) else {
            complaints.push(format!(
                "{}: give this crate its place in the table of directions",
                package.name
            ));
            continue;
        };
        for dependency in package
            .dependencies
            .iter()
            .map(|dependency| dependency.name.as_str())
        {
            let ours = packages.iter().any(|other| other.name == dependency);
            if ours && !allowed.contains(&dependency) {
                complaints.push(format!("{} may not depend on {dependency}", package.name));
            }
            let confined = CONFINED.iter().find(|(name, _)| *name == dependency);
            if confined.is_some_and(|(_, users)| !users.contains(&package.name.as_str())) {
                complaints.push(format!(
                    "{} may not depend on {dependency}: it is confined",
                    package.name
                ));
            }
            if package.name == "airunner-core" && NEVER_IN_CORE.contains(&dependency) {
                complaints.push(format!(
                    "airunner-core decides and does nothing: no {dependency} in it"
                ));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency {
            name: (*name).to_owned(),
        };
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    #[test]
    fn the_direction_holds() {
        let good = [
            package("airunner-core", &["thiserror"]),
            package("airunner-proto", &["airunner-core", "tonic"]),
        ];
        assert_eq!(complaints(&good), Vec::<String>::new());
    }

    #[test]
    fn each_kind_of_wrong_dependency_is_named() {
        let bad = [
            package("airunner-core", &["airunner-proto", "tokio"]),
            package("airunner-proto", &["airunner-core"]),
            package("airunner-cli", &["ort"]),
            package("airunner-surprise", &[]),
        ];
        let found = complaints(&bad);
        assert_eq!(found.len(), 4, "{found:#?}");
        for (complaint, words) in
            found
                .iter()
                .zip(["depend on airunner-proto", "no tokio", "confined", "its place"])
        {
            assert!(complaint.contains(words), "{complaint}");
        }
    }
}
