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
use crate::process;
use crate::setup::{self, Tool};
use crate::workspace::Workspace;

/// Beside the description: wixl takes no absolute paths.
const STAGE: &str = "files";
const TEMPLATE: &str = include_str!("../../../windows/airunner.wxs");

/// Of the programs that cannot be built, or whose package cannot be made, without them.
const TOOLS: [Tool; 4] = [
    ("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64-win32"),
    ("x86_64-w64-mingw32-strip", "binutils-mingw-w64-x86-64"),
    ("wixl", "wixl"),
    ("msibuild", "msitools"),
];

/// Before anything is built, which takes minutes.
pub(super) fn require_tools() -> anyhow::Result<()> {
    setup::require_tools("what cross-builds for Windows and makes installers", &TOOLS)
}

pub(super) fn make(workspace: &Workspace, materials: &Materials, output: &Path) -> anyhow::Result<PathBuf> {
    let release = &materials.release;
    release.platform.require("windows", "Windows installer")?;
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
    complete(&path, release, materials.has_tray())?;
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

/// Nor can it: a program of the system that is not installed with ours. The tray keeps nothing, so it
/// can be ended like this; 98 runs a program from a folder and passes over its failure.
fn end_tray() -> [String; 2] {
    [
        "INSERT INTO `CustomAction` (`Action`, `Type`, `Source`, `Target`) \
         VALUES ('EndTray', 98, 'BINDIR', '[System64Folder]taskkill.exe /F /IM airunner-tray.exe')"
            .to_owned(),
        format!(
            "INSERT INTO `InstallExecuteSequence` (`Action`, `Condition`, `Sequence`) \
             VALUES ('EndTray', '{REPLACED}', {FIRST_ACTION})"
        ),
    ]
}

/// Nor that another package of the same version takes the place of the one that is installed, which
/// would stay in the list of programs beside it. 513 is older versions and this one.
fn replaced_versions(release: &Release) -> [String; 2] {
    [
        "DELETE FROM `Upgrade` WHERE `ActionProperty` = 'WIX_UPGRADE_DETECTED'".to_owned(),
        format!(
            "INSERT INTO `Upgrade` (`UpgradeCode`, `VersionMax`, `Attributes`, `ActionProperty`) \
             VALUES ('{UPGRADE}', '{}', 513, 'WIX_UPGRADE_DETECTED')",
            release.version
        ),
    ]
}

fn complete(installer: &Path, release: &Release, tray: bool) -> anyhow::Result<()> {
    let mut queries = ENVIRONMENT.map(str::to_owned).to_vec();
    queries.extend(replaced_versions(release));
    if tray {
        queries.extend(end_tray());
    }
    for query in &queries {
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
    let tray = entries.iter().any(|entry| entry.path == TRAY);
    TEMPLATE
        .replace("@VERSION@", &release.version)
        .replace("@PRODUCT@", &guid(&format!("product {}", release.full())))
        .replace("@PACKAGE@", &guid(&format!("package {}", release.full())))
        .replace("@UPGRADE@", UPGRADE)
        .replace("@PATH@", &guid("component PATH"))
        .replace("@FOLDERS@", folders.trim_end())
        .replace("@COMPONENTS@", references.trim_end())
        .replace("@SHORTCUT@", if tray { SHORTCUT } else { "" })
        .replace("@ACTIONS@", &actions())
}

const TRAY: &str = "bin/airunner-tray.exe";
const COMMAND_LINE: &str = "bin/airunner.exe";
const REMOVED: &str = "REMOVE=\"ALL\"";
/// By a newer version too, which finds its folder as the one of before left it. Windows looks for files
/// in use before it lets that one remove itself, and would ask the user to close the programs.
const REPLACED: &str = "REMOVE=\"ALL\" OR WIX_UPGRADE_DETECTED";
/// What all versions have in common.
const UPGRADE: &str = "{6C6C9D3B-8F0E-4B57-9C0B-2C0B3E6A1D52}";

/// What ends programs whose files go, in this order and before Windows looks for files in use. None of
/// it can keep the files from being removed. [`end_tray`] comes before.
fn actions() -> String {
    let program = identifier(COMMAND_LINE);
    let for_good = format!("{REMOVED} AND NOT UPGRADINGPRODUCTCODE");
    let actions = [
        ("StopDaemon", "stop", REPLACED),
        ("EndService", "service uninstall", &for_good),
    ];
    let declared = actions.map(|(name, words, _)| {
        format!(
            "    <CustomAction Id=\"{name}\" FileKey=\"F{program}\" ExeCommand=\"{words}\" Return=\"ignore\" \
             Impersonate=\"yes\" />\n"
        )
    });
    let mut place = FIRST_ACTION;
    let ordered = actions.map(|(name, _, condition)| {
        place += 1;
        let condition = condition.replace('"', "&quot;");
        format!("      <Custom Action=\"{name}\" Sequence=\"{place}\">{condition}</Custom>\n")
    });
    format!(
        "{}    <InstallExecuteSequence>\n{}    </InstallExecuteSequence>",
        declared.concat(),
        ordered.concat()
    )
}

/// After the folders are known (1000) and before files in use are looked for (1400).
const FIRST_ACTION: u32 = 1310;

const SHORTCUT: &str = "<Shortcut Id=\"TrayShortcut\" Directory=\"ProgramMenuFolder\" Name=\"AI Runner\" \
                        Target=\"[BINDIR]airunner-tray.exe\" WorkingDirectory=\"BINDIR\" />";

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
    fn what_has_the_files_open_ends_first_and_nothing_is_started() {
        let text = description(&sample().release, &entries());
        let id = identifier(COMMAND_LINE);
        assert_eq!(
            text.matches(&format!("FileKey=\"F{id}\" ExeCommand=")).count(),
            2,
            "{text}"
        );
        assert!(text.contains(&format!("<File Id=\"F{id}\"")), "{text}");
        let sequence = text.split("<InstallExecuteSequence>").nth(1).unwrap();
        let conditions: Vec<&str> = sequence
            .lines()
            .filter_map(|line| {
                line.trim()
                    .strip_suffix("</Custom>")?
                    .split_once('>')
                    .map(|(_, condition)| condition)
            })
            .collect();
        assert_eq!(
            conditions,
            [
                "REMOVE=&quot;ALL&quot; OR WIX_UPGRADE_DETECTED",
                "REMOVE=&quot;ALL&quot; AND NOT UPGRADINGPRODUCTCODE",
            ]
        );
        let without_tray = description(&sample().release, &entries()[..1]);
        assert!(!without_tray.contains("tray"), "{without_tray}");
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
