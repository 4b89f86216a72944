//! What a Mac would be given, tried where there is none: the files of a package in a directory, and its
//! scripts run on them.

use std::process::{Output, Stdio};

use super::super::materials::sample;
use super::*;

const AGENT: &str = "share/airunner/LaunchAgents/dev.airunner.daemon.plist";

/// A system with the package of a version, of files that are there.
struct Mac {
    directory: tempfile::TempDir,
}

impl Mac {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tools = directory.path().join("tools");
        fs::create_dir(&tools).unwrap();
        // Somebody runs the daemon; nothing else of a Mac may be called by what is tried here.
        executable(
            &tools.join("ps"),
            "#!/bin/sh\necho '  ann /usr/local/bin/airunnerd'\necho ' root /sbin/launchd'\n",
        );
        for tool in ["launchctl", "pkgutil"] {
            executable(&tools.join(tool), "#!/bin/sh\nexit 1\n");
        }
        Self { directory }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("mac")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root().join(PREFIX).join(path)
    }

    /// Puts files there as Installer does: it adds and replaces.
    fn lay(&self, version: &[Entry]) {
        let root = self.directory.path().join("payload");
        let mut stage = Stage::new(root, 1_790_000_000).unwrap();
        stage.add(PREFIX, version).unwrap();
        let payload = stage.finish().unwrap();
        fs::create_dir_all(self.root()).unwrap();
        let copied = Command::new("cp")
            .arg("-R")
            .arg(payload.join("."))
            .arg(self.root())
            .status();
        assert!(copied.unwrap().success());
    }

    fn install(&self, version: &[Entry]) -> String {
        let root = self.root();
        fs::create_dir_all(&root).unwrap();
        let root = root.display().to_string();
        let arguments = ["airunner.pkg", "/", &root, &root];
        self.run(SCRIPTS[0].1, &arguments);
        self.lay(version);
        self.run(SCRIPTS[1].1, &arguments)
    }

    fn run(&self, script: &str, arguments: &[&str]) -> String {
        let output = self.tried(script, arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn tried(&self, script: &str, arguments: &[&str]) -> Output {
        let path = self.directory.path().join("script");
        fs::write(&path, script).unwrap();
        let tools = self.directory.path().join("tools");
        Command::new("sh")
            .arg(path)
            .args(arguments)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", tools.display()))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn files(&self) -> Vec<String> {
        let found = crate::setup::files_below(&self.root()).unwrap();
        found.iter().map(|path| path.display().to_string()).collect()
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    stage::set_mode(path, 0o755).unwrap();
}

/// The entries of the sample, with words in place of programs that nobody has built.
fn version() -> Vec<Entry> {
    let entries = entries(&sample(), "the licence").unwrap().into_iter();
    entries
        .map(|entry| Entry {
            content: match entry.content {
                files::Content::Copy(_) => files::Content::Bytes(entry.path.clone().into_bytes()),
                content @ files::Content::Bytes(_) => content,
            },
            ..entry
        })
        .collect()
}

fn without(entries: &[Entry], path: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = entries
        .iter()
        .filter(|entry| entry.path != path)
        .cloned()
        .collect();
    let list = entries.iter_mut().find(|entry| entry.path == LIST).unwrap();
    if let files::Content::Bytes(bytes) = &mut list.content {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replace(&format!("{path}\n"), "").into_bytes();
    }
    entries
}

#[test]
fn everything_is_below_its_prefix_and_launchd_looks_at_none_of_it() {
    let mac = Mac::new();
    mac.install(&version());
    let files = mac.files();
    for wanted in [
        "bin/airunner",
        "bin/airunnerd",
        "bin/airunner-tray",
        "lib/airunner/libonnxruntime.so.1",
        "share/airunner/models/builtin/helper/config.json",
        "share/airunner/uninstall.sh",
        "share/doc/airunner/LICENSE",
        AGENT,
        LIST,
    ] {
        let wanted = format!("{PREFIX}/{wanted}");
        assert!(files.contains(&wanted), "{wanted} in {files:#?}");
    }
    assert!(
        files.iter().all(|file| file.starts_with("usr/local/")),
        "{files:#?}"
    );
    let listed = fs::read_to_string(mac.at(LIST)).unwrap();
    let mut listed: Vec<String> = listed.lines().map(|line| format!("{PREFIX}/{line}")).collect();
    listed.sort();
    assert_eq!(listed, files);
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(mac.at(path)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode("share/airunner/uninstall.sh"), 0o755);
    assert_eq!(mode("bin/airunnerd"), 0o755);
    assert_eq!(mode(AGENT), 0o644);
}

#[test]
fn an_upgrade_removes_what_only_the_version_of_before_had_and_starts_nothing() {
    let mac = Mac::new();
    let new = version();
    let mut old = new.clone();
    old.push(Entry::text("lib/airunner/libold.dylib", "old"));
    let list = old.iter_mut().find(|entry| entry.path == LIST).unwrap();
    if let files::Content::Bytes(bytes) = &mut list.content {
        bytes.extend_from_slice(b"lib/airunner/libold.dylib\n/etc/passwd\n../../outside\n");
    }
    assert_eq!(mac.install(&old), "");
    fs::write(mac.root().join("outside"), "").unwrap();
    fs::write(mac.at("bin/other"), "somebody else's").unwrap();
    let said = mac.install(&new);
    assert_eq!(
        said,
        "airunner: ann still runs the daemon of before; \"airunner restart\" starts this one.\n"
    );
    assert!(!mac.at("lib/airunner/libold.dylib").exists());
    assert!(mac.at("bin/other").exists() && mac.root().join("outside").exists());
    assert!(!mac.at("share/airunner/files-before.txt").exists());
    // One that lacks what the other has.
    mac.install(&without(&new, AGENT));
    assert!(!mac.at(AGENT).exists() && mac.at("bin/airunnerd").exists());
}

#[test]
fn nothing_is_left_but_what_belongs_to_users_and_others() {
    let mac = Mac::new();
    mac.install(&version());
    let home = mac.root().join("Users/ann/Library");
    let agents = home.join("LaunchAgents");
    fs::create_dir_all(&agents).unwrap();
    let data = home.join("Application Support/airunner/models/model.onnx");
    fs::create_dir_all(data.parent().unwrap()).unwrap();
    let mine = agents.join("dev.airunner.daemon.plist");
    let elsewhere = agents.join("dev.airunner.tray.plist");
    fs::write(&data, "weights").unwrap();
    fs::write(
        &mine,
        "<array>\n\t<string>/usr/local/bin/airunnerd</string>\n</array>",
    )
    .unwrap();
    fs::write(&elsewhere, "<string>/opt/airunner/bin/airunner-tray</string>").unwrap();
    fs::write(mac.at("lib/airunner/of-somebody"), "").unwrap();
    let root = mac.root().display().to_string();
    let said = mac.run(UNINSTALL, &["--root", &root]);
    assert!(said.contains("models and data are where they were"), "{said}");
    assert_eq!(
        mac.files(),
        [
            "Users/ann/Library/Application Support/airunner/models/model.onnx",
            "Users/ann/Library/LaunchAgents/dev.airunner.tray.plist",
            "usr/local/lib/airunner/of-somebody",
        ]
    );
    assert!(!mac.at("share/airunner").exists());
    let again = mac.tried(UNINSTALL, &["--root", &root]);
    assert!(!again.status.success());
    assert_eq!(mac.tried(UNINSTALL, &["--purge"]).status.code(), Some(2));
}

#[test]
fn the_description_is_of_this_package_and_version() {
    let text = description("1.2.3");
    assert!(!text.contains('@'), "{text}");
    assert!(
        text.contains(
            "<pkg-ref id=\"ai-runner\" version=\"1.2.3\" onConclusion=\"none\">airunner.pkg</pkg-ref>"
        ),
        "{text}"
    );
}
