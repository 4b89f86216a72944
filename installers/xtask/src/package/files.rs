//! Which files are installed, where below the prefix, and with which mode.

use std::path::PathBuf;

use super::materials::Materials;

/// One file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Below the prefix, such as `bin/airunner`.
    pub(super) path: String,
    pub(super) mode: u32,
    pub(super) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// As this file.
    Copy(PathBuf),
    Bytes(Vec<u8>),
}

impl Entry {
    pub(super) fn text(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self::bytes(path, text.into().into_bytes())
    }

    pub(super) fn bytes(path: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            path: path.into(),
            mode: 0o644,
            content: Content::Bytes(bytes),
        }
    }

    fn copy(path: impl Into<String>, mode: u32, source: PathBuf) -> Self {
        Self {
            path: path.into(),
            mode,
            content: Content::Copy(source),
        }
    }
}

/// Where a system looks for what is not the program itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) zsh: &'static str,
    /// Units, desktop entry, icons: for packages whose files are where the system looks for them.
    pub(super) integrated: bool,
    /// Manual pages end in `.gz`.
    pub(super) compressed: bool,
}

/// `/usr` of Debian.
pub(super) const DEBIAN: Places = Places {
    zsh: "share/zsh/vendor-completions/_airunner",
    integrated: true,
    compressed: true,
};
/// `/usr` of distributions with RPM, and what Unix has in common.
pub(super) const COMMON: Places = Places {
    zsh: "share/zsh/site-functions/_airunner",
    integrated: true,
    compressed: true,
};
/// A directory anywhere.
pub(super) const PORTABLE: Places = Places {
    zsh: "share/zsh/site-functions/_airunner",
    integrated: false,
    compressed: false,
};

/// Where the programs look for ONNX Runtime and the built-in models, seen from their own prefix.
const LIBRARIES: &str = "lib/airunner";
const BUILTIN_MODELS: &str = "share/airunner/models/builtin";
/// Licences and notices, in every kind of package.
pub(super) const DOCUMENTS: &str = "share/doc/airunner";

/// Everything but what a kind of package adds for itself, sorted by path.
pub(super) fn common(materials: &Materials, places: Places) -> anyhow::Result<Vec<Entry>> {
    let mut entries = running(materials);
    let documents = &materials.documents;
    for (name, page) in &documents.manuals {
        entries.push(if places.compressed {
            Entry::bytes(format!("share/man/man1/{name}.gz"), super::tools::gzip(page)?)
        } else {
            Entry::bytes(format!("share/man/man1/{name}"), page.clone())
        });
    }
    entries.push(Entry::text(
        "share/bash-completion/completions/airunner",
        &documents.bash,
    ));
    entries.push(Entry::text(places.zsh, &documents.zsh));
    entries.push(Entry::text(
        "share/fish/vendor_completions.d/airunner.fish",
        &documents.fish,
    ));
    if places.integrated {
        entries.extend(integration(materials));
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

/// What the programs need to run, on every system.
pub(super) fn running(materials: &Materials) -> Vec<Entry> {
    let mut entries = Vec::new();
    for program in &materials.programs {
        entries.push(Entry::copy(
            format!("bin/{}", program.file),
            0o755,
            program.path.clone(),
        ));
    }
    let library = &materials.library;
    entries.push(Entry::copy(
        format!("{LIBRARIES}/{}", library.name),
        0o644,
        library.path.clone(),
    ));
    for (name, source) in &materials.models {
        entries.push(Entry::copy(
            format!("{BUILTIN_MODELS}/{name}"),
            0o644,
            source.clone(),
        ));
    }
    entries
}

/// What makes it part of a desktop and of systemd; nothing of it starts anything by itself.
fn integration(materials: &Materials) -> Vec<Entry> {
    let mut entries = vec![Entry::text(
        "lib/systemd/user-preset/90-airunner.preset",
        include_str!("../../../linux/90-airunner.preset"),
    )];
    for (name, unit) in &materials.documents.units {
        entries.push(Entry::text(format!("lib/systemd/user/{name}"), unit));
    }
    if materials.has_tray() {
        entries.push(Entry::text(
            "share/applications/airunner-tray.desktop",
            include_str!("../../../linux/airunner-tray.desktop"),
        ));
        for (name, source) in &materials.icons {
            entries.push(Entry::copy(
                format!("share/icons/hicolor/scalable/apps/{name}"),
                0o644,
                source.clone(),
            ));
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::super::materials::sample;
    use super::*;

    fn paths(places: Places) -> Vec<String> {
        let entries = common(&sample(), places).unwrap();
        entries.into_iter().map(|entry| entry.path).collect()
    }

    #[test]
    fn programs_library_and_models_are_where_the_programs_look() {
        let found = paths(DEBIAN);
        for wanted in [
            "bin/airunner",
            "bin/airunner-tray",
            "bin/airunnerd",
            "lib/airunner/libonnxruntime.so.1",
            "lib/systemd/user/airunner.service",
            "lib/systemd/user/airunner.socket",
            "share/airunner/models/builtin/helper/config.json",
            "share/applications/airunner-tray.desktop",
            "share/bash-completion/completions/airunner",
            "share/fish/vendor_completions.d/airunner.fish",
            "share/icons/hicolor/scalable/apps/airunner.svg",
            "share/man/man1/airunner.1.gz",
            "share/zsh/vendor-completions/_airunner",
        ] {
            assert!(found.iter().any(|path| path == wanted), "{wanted} in {found:#?}");
        }
    }

    #[test]
    fn nothing_is_listed_twice_or_out_of_order_or_outside_of_the_prefix() {
        for places in [DEBIAN, COMMON, PORTABLE] {
            let found = paths(places);
            assert!(found.is_sorted_by(|one, other| one < other), "{found:#?}");
            assert!(
                found
                    .iter()
                    .all(|path| !path.starts_with('/') && !path.contains("..")),
                "{found:#?}"
            );
        }
    }

    #[test]
    fn only_programs_can_be_executed_and_nobody_but_root_can_write() {
        for entry in common(&sample(), DEBIAN).unwrap() {
            let wanted = if entry.path.starts_with("bin/") {
                0o755
            } else {
                0o644
            };
            assert_eq!(entry.mode, wanted, "{}", entry.path);
        }
    }

    #[test]
    fn a_portable_directory_holds_nothing_that_names_a_fixed_place() {
        let found = paths(PORTABLE);
        assert!(
            found
                .iter()
                .all(|path| !path.contains("systemd") && !path.contains("applications"))
        );
        assert!(found.iter().any(|path| path == "share/man/man1/airunner.1"));
    }

    #[test]
    fn without_a_tray_nothing_offers_to_start_one() {
        let mut materials = sample();
        materials
            .programs
            .retain(|program| program.name != "airunner-tray");
        let entries = common(&materials, DEBIAN).unwrap();
        assert!(
            entries
                .iter()
                .all(|entry| !entry.path.contains("tray") && !entry.path.contains("icons"))
        );
    }
}
