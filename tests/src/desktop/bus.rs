//! A session bus that belongs to one test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::process::Child;
use zbus::Connection;

use crate::wait::eventually_ok;

/// A private `dbus-daemon`; it ends when dropped. It can be ended and started again at the same
/// address.
pub struct SessionBus {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    /// Programs of the machine are started when they are asked for.
    services: bool,
    daemon: Option<Child>,
}

impl SessionBus {
    /// One that knows nobody and starts nothing by itself; `None`, loudly, where there is no
    /// D-Bus.
    pub async fn bare() -> Option<Self> {
        if super::have_programs(&["dbus-daemon"]) {
            Some(Self::with(false, &[]).await)
        } else {
            None
        }
    }

    /// With a home, directories and whatever else the programs it starts have to see.
    pub async fn start(environment: &[(&str, &str)]) -> Self {
        Self::with(true, environment).await
    }

    async fn with(services: bool, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("bus-")
            .tempdir()
            .expect("a temporary directory can be made");
        let mut bus = Self {
            folder,
            environment: Vec::new(),
            services,
            daemon: None,
        };
        let home = bus.folder.path().to_owned();
        for (name, folder) in [
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("XDG_DATA_HOME", "home/.local/share"),
            ("XDG_CACHE_HOME", "home/.cache"),
            ("XDG_RUNTIME_DIR", "run"),
        ] {
            let path = home.join(folder);
            std::fs::create_dir_all(&path).expect("the folder is writable");
            bus.set(name, path.to_str().expect("a text path"));
        }
        // Where there is no screen, nothing may find that of the machine.
        bus.set("DISPLAY", "");
        bus.set("WAYLAND_DISPLAY", "");
        for (name, value) in environment {
            bus.set(name, value);
        }
        bus.set("DBUS_SESSION_BUS_ADDRESS", &bus.address());
        std::fs::write(bus.configuration(), bus.rules()).expect("the folder is writable");
        bus.start_again().await;
        bus
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(other, _)| other != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("configuration")
    }

    fn rules(&self) -> String {
        let services = if self.services {
            "<standard_session_servicedirs/>"
        } else {
            ""
        };
        format!(
            "<busconfig><type>session</type><listen>{}</listen>{services}<policy context=\"default\">\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>\
             <allow own=\"*\"/></policy></busconfig>",
            self.address()
        )
    }

    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:path={}", self.folder.path().join("socket").display())
    }

    /// What programs have to see to use it.
    #[must_use]
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A program of this session.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts at the same address once more.
    pub async fn start_again(&mut self) {
        let _ = std::fs::remove_file(self.folder.path().join("socket"));
        let mut command = self.command("dbus-daemon");
        command
            .arg(format!("--config-file={}", self.configuration().display()))
            .args(["--nofork", "--nosyslog", "--nopidfile"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let daemon = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .expect("dbus-daemon is installed");
        self.daemon = Some(daemon);
        let _answered = eventually_ok("the session bus answers", async || {
            zbus::connection::Builder::address(self.address().as_str())
                .build()
                .await
        })
        .await;
    }

    /// Ends it: everybody on it is cut off.
    pub async fn end(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().await.expect("the bus can be ended");
        }
    }

    pub async fn connect(&self) -> Connection {
        zbus::connection::Builder::address(self.address().as_str())
            .build()
            .await
            .expect("the session bus answers")
    }
}
