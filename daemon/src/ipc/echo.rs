//! The daemon as a client of itself: whether the local socket answers.

use airunner_core::{Fault, error};
use airunner_platform::{Connection, Endpoint};
use airunner_proto::convert::fault_from_status;
use airunner_proto::v1;
use airunner_proto::v1::control_client::ControlClient;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint as Remote};

use crate::heart::Answers;

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
    let failed = |cause: &dyn std::error::Error| {
        Fault::internal(format!(
            "the daemon does not reach its own socket: {}",
            error::chain(cause)
        ))
    };
    let connection = airunner_platform::connect(endpoint)
        .await
        .map_err(|error| failed(&error))?;
    let mut once = Some(connection);
    let connector = tower::service_fn(move |_: tonic::codegen::http::Uri| {
        let connection = once.take().ok_or(std::io::ErrorKind::NotConnected);
        async move {
            connection
                .map(TokioIo::<Connection>::new)
                .map_err(std::io::Error::from)
        }
    });
    let channel = Remote::from_static("http://airunner.localhost")
        .connect_with_connector(connector)
        .await
        .map_err(|error| failed(&error))?;
    Ok(ControlClient::new(channel))
}
