//! The way in: connect, check versions, hand out one handle per domain.

use airunner_core::status::Hello;
use airunner_core::{ErrorKind, Fault, PROTOCOL_VERSION};
use airunner_platform::Endpoint;
use airunner_proto::v1;
use airunner_proto::v1::control_client::ControlClient;
use tonic::transport::Channel;

use crate::channel::{fault, open, promptly};
use crate::{
    Catalog, Control, Downloads, Hardware, Keys, Llm, Models, Notifications, Settings, Starter, Watch,
};

const NAME: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

/// A connection to the daemon. Cheap to clone; clones share the connection, which carries any
/// number of calls at once.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    endpoint: Endpoint,
    hello: Hello,
}

impl Client {
    /// Connects to a running daemon.
    ///
    /// Errors: [`ErrorKind::DaemonNotRunning`] if nobody answers,
    /// [`ErrorKind::ProtocolMismatch`] if the daemon speaks another protocol version.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, Fault> {
        let client = Self::connect_to_any_version(endpoint).await?;
        check_protocol(&client.hello)?;
        Ok(client)
    }

    /// Connects without the version check: for asking who it is and for stopping it, which every
    /// version understands.
    pub async fn connect_to_any_version(endpoint: &Endpoint) -> Result<Self, Fault> {
        let channel = promptly(open(endpoint)).await?;
        let request = v1::HelloRequest {
            client: NAME.to_owned(),
        };
        let mut control = ControlClient::new(channel.clone());
        let answer =
            promptly(async { control.hello(request).await.map_err(|status| fault(&status)) }).await?;
        Ok(Self {
            channel,
            endpoint: endpoint.clone(),
            hello: answer.into_inner().into(),
        })
    }

    /// Connects to the daemon of this user's environment, starting it if it is not running.
    /// [`Starter`] has the options.
    pub async fn connect_or_start() -> Result<Self, Fault> {
        let (client, _) = Starter::from_environment()?.connect_or_start().await?;
        Ok(client)
    }

    /// What the daemon said of itself when the connection was made.
    #[must_use]
    pub const fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Where the daemon listens.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The daemon itself: status, shutdown.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(self.channel.clone())
    }

    /// Installed models: list, import, load, unload.
    #[must_use]
    pub fn models(&self) -> Models {
        Models::new(self.channel.clone())
    }

    /// Language models: generate, tokenize.
    #[must_use]
    pub fn llm(&self) -> Llm {
        Llm::new(self.channel.clone())
    }

    /// The machine: profile, memory, budgets, reservations.
    #[must_use]
    pub fn hardware(&self) -> Hardware {
        Hardware::new(self.channel.clone())
    }

    /// Fetching models from a hub.
    #[must_use]
    pub fn downloads(&self) -> Downloads {
        Downloads::new(self.channel.clone())
    }

    /// Models that are known, installed or not.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        Catalog::new(self.channel.clone())
    }

    /// Keys of the HTTP API.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys::new(self.channel.clone())
    }

    /// What the user of this machine is told.
    #[must_use]
    pub fn notifications(&self) -> Notifications {
        Notifications::new(self.channel.clone())
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// What is set where, changed and applied.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::new(self.channel.clone())
    }

    /// Follows the daemon's state, over restarts of the daemon too.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch::new(self.endpoint.clone())
    }
}

fn check_protocol(hello: &Hello) -> Result<(), Fault> {
    if hello.protocol_version == PROTOCOL_VERSION {
        return Ok(());
    }
    Err(Fault::new(
        ErrorKind::ProtocolMismatch,
        format!(
            "the running daemon {} speaks protocol {} and this program {PROTOCOL_VERSION}: \
             run \"airunner restart\", and install both from one release",
            hello.daemon_version, hello.protocol_version
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_protocol_is_refused_with_both_versions() {
        let hello = |protocol_version| Hello {
            protocol_version,
            daemon_version: "9.9.9".into(),
            pid: 1,
        };
        assert!(check_protocol(&hello(PROTOCOL_VERSION)).is_ok());
        let fault = check_protocol(&hello(77)).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::ProtocolMismatch);
        assert!(
            fault.message.contains("77") && fault.message.contains("9.9.9"),
            "{fault}"
        );
    }
}
