//! What the installer brings, what runs from there, and what is left without it.

use std::process::Command;

use airunner_tests::{Wine, builtin_directory};
use serde_json::json;

use crate::installed::{Installer, Windows};

pub(crate) const FILES: [&str; 9] = [
    "bin/airunner.exe",
    "bin/airunnerd.exe",
    "bin/airunner-tray.exe",
    "lib/airunner/onnxruntime.dll",
    "share/airunner/models/builtin/helper/config.json",
    "share/airunner/models/builtin/helper/onnx/model_quantized.onnx",
    "share/doc/airunner/LICENSE.txt",
    "share/doc/airunner/ONNXRUNTIME-NOTICES.txt",
    "share/doc/airunner/THIRD-PARTY-NOTICES.txt",
];
/// Libraries that every Windows has; programs that want another would not start.
const OF_THE_SYSTEM: [&str; 26] = [
    "advapi32.dll",
    "bcrypt.dll",
    "bcryptprimitives.dll",
    "combase.dll",
    "comctl32.dll",
    "crypt32.dll",
    "dwmapi.dll",
    "gdi32.dll",
    "imm32.dll",
    "kernel32.dll",
    "msvcrt.dll",
    "netapi32.dll",
    "ntdll.dll",
    "ole32.dll",
    "oleaut32.dll",
    "pdh.dll",
    "powrprof.dll",
    "psapi.dll",
    "rpcrt4.dll",
    "secur32.dll",
    "shell32.dll",
    "shlwapi.dll",
    "user32.dll",
    "userenv.dll",
    "uxtheme.dll",
    "ws2_32.dll",
];
const RUN: &str = "HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Run";

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_installer_holds_programs_that_need_nothing_but_windows() {
    let Some(programs) = Wine::programs() else { return };
    let installer = Installer::of(&programs);
    let root = installer.folder("extracted");
    let mut extract = Command::new("msiextract");
    let listed = said(extract.arg("--directory").arg(&root).arg(&installer.file));
    for file in FILES {
        assert!(
            listed.lines().any(|line| line.ends_with(file)),
            "{file} in {listed}"
        );
    }
    for program in FILES.into_iter().filter(|file| file.ends_with(".exe")) {
        let path = listed.lines().find(|line| line.ends_with(program)).unwrap();
        let mut objdump = Command::new("x86_64-w64-mingw32-objdump");
        let headers = said(objdump.arg("-p").arg(root.join(path)));
        let wanted = headers
            .lines()
            .filter_map(|line| line.trim().strip_prefix("DLL Name: "));
        let foreign: Vec<&str> = wanted
            .filter(|name| {
                let name = name.to_lowercase();
                !name.starts_with("api-ms-win-") && !OF_THE_SYSTEM.contains(&name.as_str())
            })
            .collect();
        assert!(foreign.is_empty(), "{program} wants {foreign:?}");
    }
    let summary = said(Command::new("msiinfo").arg("suminfo").arg(&installer.file));
    assert!(summary.contains("x64"), "{summary}");
}

#[tokio::test]
async fn what_is_installed_answers_and_what_is_removed_leaves_models_and_settings() {
    let Some(programs) = Wine::programs() else { return };
    let windows = Windows::with(&programs).await;
    nothing_but_files_was_installed(&windows).await;
    the_daemon_answers(&windows).await;
    a_model_answers(&windows).await;
    settings_are_kept(&windows).await;
    it_ends_and_starts_again(&windows).await;
    it_is_removed_while_it_runs(&windows).await;
}

async fn nothing_but_files_was_installed(windows: &Windows) {
    for file in FILES {
        assert!(windows.root.join(file).is_file(), "{file}");
    }
    let version = windows.airunner(["--version"]).await.succeeded();
    assert!(version.stdout.starts_with("airunner 0."), "{version:?}");
    let path = windows.registry("HKCU\\Environment", "PATH").await.unwrap();
    assert!(
        path.ends_with("AI Runner\\bin\\") || path.ends_with("AI Runner\\bin"),
        "{path}"
    );
    let menu = "AppData/Roaming/Microsoft/Windows/Start Menu/Programs/AI Runner.lnk";
    assert!(windows.wine.profile(menu).is_file());
    assert_eq!(windows.registry(RUN, "AI Runner").await, None);
    assert!(windows.wine.processes("airunnerd.exe").is_empty());
    let status = windows.airunner(["status"]).await;
    assert_eq!(status.code, 3, "{status:?}");
}

async fn the_daemon_answers(windows: &Windows) {
    windows.airunner(["start"]).await.succeeded();
    let status = windows.json(["status", "--json"]).await;
    assert!(status["pid"].as_u64().unwrap() > 0, "{status}");
    let models = windows.json(["models", "list", "--json"]).await;
    assert_eq!(models[0]["name"], "builtin/helper", "{models}");
    assert_eq!(windows.json(["ps", "--json"]).await, json!([]));
    let hardware = windows.json(["hardware", "--json"]).await;
    assert!(
        hardware["memory"]["total_bytes"].as_u64().unwrap() > 1 << 20,
        "{hardware}"
    );
    windows.json(["notify", "list", "--json"]).await;
    let doctor = windows.airunner(["doctor"]).await.succeeded();
    for check in ["Visual C++", "ONNX Runtime  1."] {
        assert!(doctor.stdout.contains(check), "{check} in {doctor:?}");
    }
}

async fn a_model_answers(windows: &Windows) {
    let question = "How do I see which models are loaded?";
    let answer = windows
        .airunner(["chat", "builtin/helper", question])
        .await
        .succeeded();
    assert!(answer.stdout.contains("airunner ps"), "{answer:?}");
    let loaded = windows.json(["ps", "--json"]).await;
    assert_eq!(loaded[0]["model"], "builtin/helper", "{loaded}");
    windows.airunner(["unload", "builtin/helper"]).await.succeeded();
    assert_eq!(windows.json(["ps", "--json"]).await, json!([]));
}

async fn settings_are_kept(windows: &Windows) {
    let set = ["settings", "set", "models.keep_alive", "30m"];
    windows.airunner(set).await.succeeded();
    let file = windows
        .wine
        .profile("AppData/Roaming/airunner/config/config.toml");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("keep_alive = \"30m\""), "{text}");
    let listed = windows.airunner(["settings", "list"]).await.succeeded();
    assert!(listed.stdout.contains("30m"), "{listed:?}");
}

async fn it_ends_and_starts_again(windows: &Windows) {
    windows.airunner(["stop"]).await.succeeded();
    windows.wine.until_gone("airunnerd.exe").await;
    windows.airunner(["restart"]).await.succeeded();
    let package = Wine::inside(&builtin_directory().canonicalize().unwrap().join("helper"));
    let import = ["models", "import", &package, "--name", "mine"];
    windows.airunner(import).await.succeeded();
}

async fn it_is_removed_while_it_runs(windows: &Windows) {
    windows.uninstall().await;
    windows.wine.until_gone("airunnerd.exe").await;
    for file in FILES {
        assert!(!windows.root.join(file).exists(), "{file}");
    }
    let path = windows.registry("HKCU\\Environment", "PATH").await;
    assert!(!path.is_some_and(|path| path.contains("AI Runner")));
    for kept in [
        "Roaming/airunner/config/config.toml",
        "Local/airunner/data/models/mine/config.json",
        "Local/airunner/data/airunner.db",
    ] {
        let kept = windows.wine.profile("AppData").join(kept);
        assert!(kept.is_file(), "{}", kept.display());
    }
}
