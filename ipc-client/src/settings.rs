//! Settings, with a daemon or without.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use airunner_core::settings::{Setting, SettingChange};
use airunner_core::{ErrorKind, Fault};
use airunner_proto::convert::settings::{answer_from_bytes, command_to_bytes};
use airunner_proto::v1;
use airunner_proto::v1::settings_client::SettingsClient;
use airunner_proto::v1::settings_command::Command;
use tokio::io::AsyncWriteExt as _;
use tonic::transport::Channel;

use crate::channel::fault;

/// How long asking the daemon's program may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the daemon's program is called with.
const SETTINGS: &str = "settings";

/// What is set where, changed and applied. From [`Client::settings`](crate::Client::settings).
#[derive(Clone, Debug)]
pub struct Settings {
    client: SettingsClient<Channel>,
}

impl Settings {
    pub(crate) fn new(channel: Channel) -> Self {
        let client =
            SettingsClient::new(channel).max_decoding_message_size(airunner_proto::MAX_MESSAGE_BYTES);
        Self { client }
    }

    /// Every setting, by section.
    pub async fn list(&self) -> Result<Vec<Setting>, Fault> {
        let mut client = self.client.clone();
        let answer = client.list(v1::ListSettingsRequest {}).await;
        answer.map_err(|status| fault(&status))?.into_inner().try_into()
    }

    /// One of them, such as `models.keep_alive`.
    pub async fn get(&self, name: &str) -> Result<Setting, Fault> {
        let mut client = self.client.clone();
        let request = v1::GetSettingRequest {
            name: name.to_owned(),
        };
        let answer = client.get(request).await;
        answer.map_err(|status| fault(&status))?.into_inner().try_into()
    }

    /// Changes all of them in the settings file, or nothing. What can count at once does; what is
    /// pending afterwards is told with each.
    pub async fn change(&self, changes: Vec<SettingChange>) -> Result<Vec<Setting>, Fault> {
        let mut client = self.client.clone();
        let answer = client.set(v1::SetSettingsRequest::from(changes)).await;
        answer.map_err(|status| fault(&status))?.into_inner().try_into()
    }

    /// Reads the settings file again; answers what is different since.
    pub async fn reload(&self) -> Result<Vec<Setting>, Fault> {
        let mut client = self.client.clone();
        let answer = client.reload(v1::ReloadSettingsRequest {}).await;
        answer.map_err(|status| fault(&status))?.into_inner().try_into()
    }
}

/// The same for a daemon that does not run: its program reads and changes the file, by the same
/// rules. What is changed counts at the next start.
#[derive(Clone, Debug)]
pub struct OfflineSettings<'a> {
    daemon: &'a Path,
}

impl<'a> OfflineSettings<'a> {
    /// `daemon` is the program `airunnerd`.
    #[must_use]
    pub const fn new(daemon: &'a Path) -> Self {
        Self { daemon }
    }

    /// See [`Settings::list`].
    pub async fn list(&self) -> Result<Vec<Setting>, Fault> {
        self.ask(Command::List(v1::ListSettingsRequest {})).await
    }

    /// See [`Settings::get`].
    pub async fn get(&self, name: &str) -> Result<Setting, Fault> {
        let request = v1::GetSettingRequest {
            name: name.to_owned(),
        };
        let found = self.ask(Command::Get(request)).await?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| Fault::internal("the daemon's program answered with no setting"))
    }

    /// See [`Settings::change`].
    pub async fn change(&self, changes: Vec<SettingChange>) -> Result<Vec<Setting>, Fault> {
        self.ask(Command::Set(changes.into())).await
    }

    async fn ask(&self, command: Command) -> Result<Vec<Setting>, Fault> {
        let answer = tokio::time::timeout(PATIENCE, self.run(&command_to_bytes(command))).await;
        let answer = answer.map_err(|_| {
            let seconds = PATIENCE.as_secs();
            Fault::internal(format!("the daemon's program did not answer within {seconds} s"))
        })??;
        answer_from_bytes(&answer)
    }

    async fn run(&self, command: &[u8]) -> Result<Vec<u8>, Fault> {
        let failed = |error: std::io::Error| {
            let program = self.daemon.display();
            Fault::new(
                ErrorKind::Internal,
                format!("cannot ask {program} for the settings: {error}"),
            )
        };
        let mut child = tokio::process::Command::new(self.daemon)
            .arg(SETTINGS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(command).await.map_err(failed)?;
        }
        let output = child.wait_with_output().await.map_err(failed)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Fault::internal(format!(
            "the daemon's program failed: {}",
            said.trim()
        )))
    }
}
