//! A tray in a home and on a session bus.

use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use airunner_platform::Places;
use airunner_tests::desktop::{SessionBus, TrayMenu, Watcher};
use airunner_tests::{Daemon, FakeModel, Home, PATIENCE, binary};
use tokio::process::Child;

/// `airunner-tray`, killed when dropped. Its words go into a file of the home.
pub(crate) struct Tray {
    child: Child,
    words: PathBuf,
}

/// The command, as a user's session starts it. What it has other programs open is written down.
pub(crate) fn command(home: &Home, bus: &SessionBus) -> Command {
    let programs = home.path().join("programs");
    std::fs::create_dir_all(&programs).unwrap();
    write_program(
        &programs.join("xdg-open"),
        &format!(
            "#!/bin/sh\necho \"$1\" >> '{}'\n",
            home.path().join("opened").display()
        ),
    );
    let mut command = home.command(binary("airunner-tray"));
    command.envs(bus.environment().iter().map(|(name, value)| (name, value)));
    command.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    command
}

fn write_program(file: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Nobody is asked whether to start at login any more.
pub(crate) fn decide_about_login(home: &Home) {
    airunner_platform::service::remember_answer(&Places::under(home.path()), false).unwrap();
}

/// What other programs were asked to show, a line each.
pub(crate) fn opened(home: &Home) -> String {
    std::fs::read_to_string(home.path().join("opened")).unwrap_or_default()
}

impl Tray {
    pub(crate) fn start(home: &Home, bus: &SessionBus) -> Self {
        Self::start_with(home, bus, &[])
    }

    pub(crate) fn start_with(home: &Home, bus: &SessionBus, arguments: &[&str]) -> Self {
        let words = home.path().join("words");
        let file = std::fs::File::create(&words).unwrap();
        let mut command = command(home, bus);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        let child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, words }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// What it said on standard error.
    pub(crate) fn words(&self) -> String {
        std::fs::read_to_string(&self.words).unwrap()
    }

    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("the tray ends").unwrap();
        let words = self.words();
        (status, words)
    }
}

/// A daemon with models, a bus with a place for icons, and a tray in it.
pub(crate) struct Scene {
    pub(crate) daemon: Daemon,
    pub(crate) bus: SessionBus,
    pub(crate) watcher: Watcher,
    pub(crate) tray: Tray,
    pub(crate) menu: TrayMenu,
}

impl Scene {
    pub(crate) async fn with(models: &[FakeModel]) -> Option<Self> {
        let bus = SessionBus::bare().await?;
        let daemon = Daemon::with_models(models).await;
        let mut watcher = Watcher::start(&bus).await;
        let tray = Tray::start(&daemon.home, &bus);
        let menu = watcher.first().await;
        menu.until("<Stop the daemon and quit>").await;
        Some(Self {
            daemon,
            bus,
            watcher,
            tray,
            menu,
        })
    }
}
