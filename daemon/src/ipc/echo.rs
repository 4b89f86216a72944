//! The daemon as a client of itself: whether the local socket answers.

use airunner_core::Fault;
use airunner_platform::Endpoint;
use airunner_proto::convert::fault_from_status;
use airunner_proto::v1;
use airunner_proto::v1::control_client::ControlClient;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tonic::transport::{Channel, Endpoint as Remote};

use crate::heart::Answers;
use crate::workers::channel;

const NAME: &str = "the daemon itself";

/// One connection to the daemon's own socket, kept for as long as it works.
pub struct Echo {
    endpoint: Endpoint,
    control: Option<ControlClient<Channel>>,
}

impl Echo {
    #[must_use]
    pub const fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            control: None,
        }
    }

    async fn hear(&mut self) -> Result<(), Fault> {
        let mut control = match self.control.take() {
            Some(control) => control,
            None => connect(&self.endpoint).await?,
        };
        let request = v1::HelloRequest {
            client: NAME.to_owned(),
        };
        let answer = control.hello(request).await;
        answer.map_err(|status| fault_from_status(&status))?;
        self.control = Some(control);
        Ok(())
    }
}

impl Answers for Echo {
    fn ask(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        self.hear().boxed()
    }
}

async fn connect(endpoint: &Endpoint) -> Result<ControlClient<Channel>, Fault> {
    let remote = Remote::from_static("http://airunner.localhost");
    let channel = channel(endpoint, &remote).await;
    let failed = |cause| Fault::internal(format!("the daemon does not reach its own socket: {cause}"));
    channel.map(ControlClient::new).map_err(failed)
}
