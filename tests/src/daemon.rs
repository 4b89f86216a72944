//! A running daemon.

use std::process::{ExitStatus, Stdio};

use tokio::process::Child;

use crate::home::Home;
use crate::packages::FakeModel;
use crate::processes::{send_signal, workers_of};
use crate::wait::{PATIENCE, eventually, eventually_ok};

/// `airunnerd` in a home; killed when dropped.
pub struct Daemon {
    pub home: Home,
    child: Option<Child>,
}

impl Daemon {
    /// Starts on a fresh home.
    pub async fn start() -> Self {
        Self::start_in(Home::new()).await
    }

    /// Starts in a prepared home and waits until it answers.
    pub async fn start_in(home: Home) -> Self {
        let mut daemon = Self { home, child: None };
        daemon.start_again().await;
        daemon
    }

    /// Starts in the same home once more.
    pub async fn start_again(&mut self) {
        let mut command = tokio::process::Command::from(self.home.daemon_command());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        self.child = Some(command.spawn().expect("airunnerd starts"));
        let home = &self.home;
        let child = self.child.as_mut().expect("just started");
        eventually_ok("the daemon answers", async || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the daemon ended at once ({status}):\n{}", home.log());
            }
            let output = home.cli().run(&["status", "--json"]).await;
            if output.code == 0 { Ok(()) } else { Err(output) }
        })
        .await;
    }

    /// Starts with these scripted models installed.
    pub async fn with_models(models: &[FakeModel]) -> Self {
        let daemon = Self::start().await;
        for model in models {
            daemon.install(model).await;
        }
        daemon
    }

    pub async fn install(&self, model: &FakeModel) {
        let package = model.write_below(self.home.path());
        let package = package.to_str().expect("a text path");
        self.home
            .cli()
            .run(&["models", "import", package, "--name", &model.name])
            .await
            .succeeded();
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("the daemon runs")
    }

    #[must_use]
    pub fn workers(&self) -> Vec<u32> {
        workers_of(self.pid())
    }

    /// The row of `airunner ps` for a model, if it has one.
    pub async fn ps(&self, model: &str) -> Option<serde_json::Value> {
        let rows = self.home.cli().json(&["ps"]).await;
        rows.as_array()
            .expect("ps is an array")
            .iter()
            .find(|row| row["model"] == model)
            .cloned()
    }

    /// Waits until `airunner ps` shows the model in that state; `None`: not at all.
    pub async fn until_state(&self, model: &str, state: Option<&str>) {
        eventually(&format!("{model} is {state:?}"), async || {
            let row = self.ps(model).await;
            row.as_ref()
                .map(|row| row["state"].as_str().expect("state is text"))
                == state
        })
        .await;
    }

    /// Waits until the daemon has logged this. It writes its log beside its work, so what was done
    /// may not be there yet.
    pub async fn until_logged(&self, text: &str) {
        eventually(&format!("{text:?} is in the log"), async || {
            self.home.log().contains(text)
        })
        .await;
    }

    /// Sends a signal to the daemon and waits for its end.
    pub async fn end_by(&mut self, signal: i32) -> ExitStatus {
        send_signal(self.pid(), signal);
        self.ended().await
    }

    /// Waits for the daemon's end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the daemon runs");
        tokio::time::timeout(PATIENCE, child.wait())
            .await
            .unwrap_or_else(|_| panic!("the daemon does not end:\n{}", self.home.log()))
            .expect("the daemon can be waited for")
    }

    /// Ends the daemon as a user does, and checks that nothing is left of it.
    pub async fn stop(mut self) {
        let workers = self.workers();
        self.home.cli().run(&["stop"]).await.succeeded();
        let status = self.ended().await;
        assert!(status.success(), "{status}:\n{}", self.home.log());
        for pid in workers {
            assert!(!crate::is_alive(pid), "worker {pid} outlived its daemon");
        }
    }
}
