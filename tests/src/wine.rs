//! Windows as Wine plays it, on a screen that nobody sees.
//!
//! A [`Wine`] has a drive of its own and the packaged programs installed on it, from an `.msi` of what
//! somebody cross-built. What Wine does not show: who may open a pipe, the task scheduler, toasts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tokio::process::Child;

use crate::binaries::windows_programs;
use crate::cli::CliOutput;
use crate::desktop::{self, Picture};
use crate::eventually;
use crate::packages::testdata;

const TOOLS: [&str; 4] = ["wine", "Xvfb", "import", "x86_64-w64-mingw32-gcc"];
/// Rust's standard library takes random numbers from it; Wine has it since version 9.
const RANDOM: &str = "bcryptprimitives.dll";

/// A private drive and screen; everything in it ends when it is dropped.
pub struct Wine {
    folder: tempfile::TempDir,
    display: String,
    _server: Child,
}

impl Wine {
    /// The folder of the cross-built programs; `None`, loudly, where there is nothing to run or nothing
    /// to run it with.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "a test that does not run has to say so")]
    pub fn programs() -> Option<PathBuf> {
        let missing: Vec<&str> = TOOLS
            .into_iter()
            .filter(|tool| desktop::find_program(tool).is_none())
            .collect();
        let programs = windows_programs();
        let why = if programs.is_none() {
            "AIRUNNER_WINDOWS_PROGRAMS names no folder of programs that were built for Windows".to_owned()
        } else if !missing.is_empty() {
            format!("{} not installed", missing.join(", "))
        } else {
            return programs;
        };
        eprintln!("SKIPPED: {why}: docs/development.md says what this takes");
        None
    }

    /// A fresh drive.
    pub async fn start() -> Self {
        let (server, display) = desktop::server().await;
        let folder = tempfile::Builder::new()
            .prefix("wine-")
            .tempdir()
            .expect("a temporary directory can be made");
        std::fs::create_dir(folder.path().join("home")).expect("the folder is writable");
        let wine = Self {
            folder,
            display,
            _server: server,
        };
        wine.run("wineboot", ["-i"]).await.succeeded();
        wine.give_random_numbers().await;
        wine
    }

    async fn give_random_numbers(&self) {
        let library = self.system().join(RANDOM);
        if library.exists() {
            return;
        }
        let mut command = tokio::process::Command::new("x86_64-w64-mingw32-gcc");
        command
            .args(["-shared", "-o"])
            .arg(&library)
            .arg(testdata().join("wine/bcryptprimitives.c"))
            .arg("-ladvapi32");
        let status = command.status().await.expect("the compiler starts");
        assert!(status.success(), "{} is made", library.display());
    }

    fn system(&self) -> PathBuf {
        self.drive().join("windows/system32")
    }

    /// What is `C:` inside.
    #[must_use]
    pub fn drive(&self) -> PathBuf {
        self.folder.path().join("prefix/drive_c")
    }

    /// A folder of the user's profile, such as `AppData/Local`.
    #[must_use]
    pub fn profile(&self, folder: &str) -> PathBuf {
        let users = std::fs::read_dir(self.drive().join("users")).expect("there are users");
        let mut own = users
            .flatten()
            .filter(|entry| entry.file_name() != *"Public")
            .map(|entry| entry.path());
        own.next().expect("a user").join(folder)
    }

    /// The path of a file of this machine as programs inside see it.
    #[must_use]
    pub fn inside(path: &Path) -> String {
        format!("Z:{}", path.display()).replace('/', "\\")
    }

    /// A program by its path here, or by its name inside.
    #[must_use]
    pub fn command<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new("wine");
        for (name, _) in std::env::vars() {
            if name.starts_with("AIRUNNER_") || name.starts_with("XDG_") || name.starts_with("WINE") {
                command.env_remove(name);
            }
        }
        command.arg(program).args(arguments);
        command
            .env("WINEPREFIX", self.folder.path().join("prefix"))
            .env("WINEDEBUG", "-all")
            // Neither is needed, and what would fetch them asks on the screen.
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
            .env("DISPLAY", &self.display)
            .env("HOME", self.folder.path().join("home"))
            .env_remove("ORT_DYLIB_PATH")
            // Daemons of many tests run at once: each takes a free port.
            .env("AIRUNNER_HTTP_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program to its end. What it says goes to files: Wine's own services are started by whoever
    /// needs them first, and would keep a pipe open.
    pub async fn run<const N: usize>(&self, program: impl AsRef<OsStr>, arguments: [&str; N]) -> CliOutput {
        let folder = tempfile::tempdir_in(self.folder.path()).expect("the folder is writable");
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| folder.path().join(name));
        let file = |path: &Path| std::fs::File::create(path).expect("the folder is writable");
        let mut child = tokio::process::Command::from(self.command(program, arguments))
            .stdout(file(&stdout))
            .stderr(file(&stderr))
            .kill_on_drop(true)
            .spawn()
            .expect("wine starts");
        let status = child.wait().await.expect("wine can be waited for");
        let said = |path: &Path| std::fs::read(path).expect("it was just written");
        let (stdout, stderr) = (said(&stdout), said(&stderr));
        CliOutput::new(
            &arguments,
            Output {
                status,
                stdout,
                stderr,
            },
        )
    }

    /// Starts a program on a desktop with a notification area, which fills the screen.
    #[must_use]
    pub fn on_desktop(&self, program: &Path) -> Child {
        let desktop = format!("/desktop=shell,{}x{}", desktop::WIDTH, desktop::HEIGHT);
        let program = Self::inside(program);
        tokio::process::Command::from(self.command("explorer", [&desktop, &program]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("wine starts")
    }

    /// What is on the screen.
    pub async fn picture(&self) -> Picture {
        let file = self.folder.path().join("screen.png");
        let mut command = tokio::process::Command::new("import");
        command
            .args(["-window", "root", "-depth", "8"])
            .arg(format!("png24:{}", file.display()))
            .env("DISPLAY", &self.display);
        let status = command.status().await.expect("import runs");
        assert!(status.success());
        Picture::read(&file)
    }

    /// Processes of this drive whose program is called so.
    #[must_use]
    pub fn processes(&self, program: &str) -> Vec<u32> {
        let mark = format!("WINEPREFIX={}", self.folder.path().join("prefix").display());
        let entries = std::fs::read_dir("/proc").expect("Linux has /proc");
        let pids = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let words = |file: &str| {
                let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                bytes
                    .split(|&byte| byte == 0)
                    .map(<[u8]>::to_vec)
                    .collect::<Vec<_>>()
            };
            words("environ").iter().any(|word| word == mark.as_bytes())
                && words("cmdline")[0].ends_with(program.as_bytes())
        })
        .collect()
    }

    /// Waits until a process of that program is there.
    pub async fn until_there(&self, program: &str) {
        eventually(&format!("{program} runs"), async || {
            !self.processes(program).is_empty()
        })
        .await;
    }

    /// Waits until no process of that program is left.
    pub async fn until_gone(&self, program: &str) {
        eventually(&format!("{program} is gone"), async || {
            self.processes(program).is_empty()
        })
        .await;
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        let ended = Command::new("wineserver")
            .arg("-k")
            .env("WINEPREFIX", self.folder.path().join("prefix"))
            .status();
        drop(ended);
    }
}
