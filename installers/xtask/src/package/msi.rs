//! The `.msi` for Windows, cross-built: `wixl` compiles the description that is made here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::files::{self, DOCUMENTS, Entry};
use super::materials::Materials;
use super::metadata::Release;
use super::notices;
use super::stage::Stage;
use crate::workspace::Workspace;
use crate::{process, setup};

/// Beside the description: wixl takes no absolute paths.
const STAGE: &str = "files";
const TEMPLATE: &str = include_str!("../../../windows/airunner.wxs");

pub(super) fn make(workspace: &Workspace, materials: &Materials, output: &Path) -> anyhow::Result<PathBuf> {
    let release = &materials.release;
    release.platform.require("windows", "Windows installer")?;
    setup::require_tools(
        "what makes Windows installers",
        &[("wixl", "wixl"), ("msibuild", "msitools")],
    )?;
    let licence = fs::read_to_string(workspace.root.join("LICENSE")).context("cannot read LICENSE")?;
    let mut entries = files::running(materials);
    entries.push(Entry::text(format!("{DOCUMENTS}/LICENSE.txt"), licence));
    entries.extend(notices::entries(materials, DOCUMENTS));
    let directory = materials.work.join("msi");
    let mut stage = Stage::new(directory.join(STAGE), release.time)?;
    stage.add("", &entries)?;
    stage.finish()?;
    let source = directory.join("airunner.wxs");
    fs::write(&source, description(release, &entries))
        .with_context(|| format!("cannot write {}", source.display()))?;
    let path = output.join(format!(
        "airunner-{}-windows-{}.msi",
        release.upstream(),
        release.platform.processor
    ));
    let mut command = Command::new("wixl");
    command
        .args(["--arch", "x64", "--output"])
        .arg(&path)
        .arg(&source)
        .current_dir(&directory);
    process::output(&mut command)?;
    put_on_path(&path)?;
    Ok(path)
}

/// What wixl cannot say: the folder of the programs is appended to the user's `PATH`, and taken
/// out of it when they are removed.
const ENVIRONMENT: [&str; 4] = [
    "CREATE TABLE `Environment` (`Environment` CHAR(72) NOT NULL, `Name` CHAR(255) NOT NULL LOCALIZABLE, \
     `Value` CHAR(255) LOCALIZABLE, `Component_` CHAR(72) NOT NULL PRIMARY KEY `Environment`)",
    "INSERT INTO `Environment` (`Environment`, `Name`, `Value`, `Component_`) \
     VALUES ('PathOfUser', '=-PATH', '[~];[BINDIR]', 'CPath')",
    "INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('RemoveEnvironmentStrings', 3300)",
    "INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('WriteEnvironmentStrings', 5200)",
];

fn put_on_path(installer: &Path) -> anyhow::Result<()> {
    for query in ENVIRONMENT {
        process::output(Command::new("msibuild").arg(installer).args(["-q", query]))?;
    }
    Ok(())
}

/// A folder of the installation: those inside, and the files in it.
#[derive(Default)]
struct Folder<'a> {
    folders: BTreeMap<&'a str, Folder<'a>>,
    files: Vec<&'a str>,
}

fn description(release: &Release, entries: &[Entry]) -> String {
    let mut tree = Folder::default();
    for entry in entries {
        let mut folder = &mut tree;
        let mut names: Vec<&str> = entry.path.split('/').collect();
        let file = names.pop().unwrap_or_default();
        for name in names {
            folder = folder.folders.entry(name).or_default();
        }
        folder.files.push(file);
    }
    let mut folders = String::new();
    write_folder(&tree, "", &mut folders);
    let references: String = entries
        .iter()
        .map(|entry| format!("      <ComponentRef Id=\"C{}\" />\n", identifier(&entry.path)))
        .collect();
    let shortcut = entries.iter().any(|entry| is_tray(&entry.path));
    TEMPLATE
        .replace("@VERSION@", &release.version)
        .replace("@PRODUCT@", &guid(&format!("product {}", release.full())))
        .replace("@PACKAGE@", &guid(&format!("package {}", release.full())))
        .replace("@PATH@", &guid("component PATH"))
        .replace("@FOLDERS@", folders.trim_end())
        .replace("@COMPONENTS@", references.trim_end())
        .replace("@SHORTCUT@", if shortcut { SHORTCUT } else { "" })
}

const SHORTCUT: &str = "<Shortcut Id=\"TrayShortcut\" Directory=\"ProgramMenuFolder\" Name=\"AI Runner\" \
                        Target=\"[BINDIR]airunner-tray.exe\" WorkingDirectory=\"BINDIR\" />";

fn is_tray(path: &str) -> bool {
    path == "bin/airunner-tray.exe"
}

fn write_folder(folder: &Folder<'_>, path: &str, text: &mut String) {
    for file in &folder.files {
        let file_path = joined(path, file);
        let id = identifier(&file_path);
        *text += &format!(
            "<Component Id=\"C{id}\" Guid=\"{}\" Win64=\"yes\">\
             <File Id=\"F{id}\" Name=\"{file}\" Source=\"{STAGE}/{file_path}\" KeyPath=\"yes\" /></Component>\n",
            guid(&format!("component {file_path}"))
        );
    }
    for (name, inner) in &folder.folders {
        let inner_path = joined(path, name);
        let id = if inner_path == "bin" {
            "BINDIR".to_owned()
        } else {
            format!("D{}", identifier(&inner_path))
        };
        *text += &format!("<Directory Id=\"{id}\" Name=\"{name}\">\n");
        write_folder(inner, &inner_path, text);
        *text += "</Directory>\n";
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}/{name}")
    }
}

/// Identifiers of an installer are short and of few characters; that of a path never changes.
fn identifier(path: &str) -> String {
    hex(path)[..24].to_owned()
}

/// Never changes for the same words.
fn guid(words: &str) -> String {
    let hex = hex(&format!("airunner {words}")).to_uppercase();
    format!(
        "{{{}-{}-{}-{}-{}}}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..32]
    )
}

fn hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::materials::sample;
    use super::*;

    fn entries() -> Vec<Entry> {
        let names = [
            "bin/airunner.exe",
            "bin/airunner-tray.exe",
            "lib/airunner/onnxruntime.dll",
        ];
        names.map(|name| Entry::text(name, "")).into()
    }

    #[test]
    fn each_file_is_a_component_of_the_feature_in_its_folder() {
        let text = description(&sample().release, &entries());
        assert_eq!(text.matches("<Component Id=\"C").count(), 3 + 1, "{text}");
        for entry in entries() {
            let id = identifier(&entry.path);
            assert_eq!(text.matches(&format!("\"C{id}\"")).count(), 2, "{text}");
        }
        assert!(text.contains("Source=\"files/bin/airunner.exe\""), "{text}");
        assert!(!text.contains('@'), "{text}");
        assert_eq!(
            text.matches("<Directory ").count(),
            text.matches("</Directory>").count(),
            "{text}"
        );
        assert!(text.contains("TrayShortcut"), "{text}");
    }

    #[test]
    fn a_version_has_its_own_product_and_all_have_the_same_components() {
        let one = sample().release;
        let other = Release {
            version: "1.2.4".to_owned(),
            ..one.clone()
        };
        let ids = |release: &Release| {
            let text = description(release, &entries());
            let find = |mark: &str| {
                let start = text.find(mark).unwrap() + mark.len();
                text[start..].split('"').next().unwrap().to_owned()
            };
            (find("<Product Id=\""), find("Guid=\""), find("UpgradeCode=\""))
        };
        let (one, other) = (ids(&one), ids(&other));
        assert_ne!(one.0, other.0);
        assert_eq!((one.1, one.2), (other.1, other.2));
    }
}
