//! Asking everything that must answer.

use airunner_core::{Fault, error};
use airunner_platform::{Connection, Endpoint};
use airunner_proto::convert::fault_from_status;
use airunner_proto::v1;
use airunner_proto::v1::control_client::ControlClient;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint as Remote};

use crate::models::Models;

const NAME: &str = "the daemon itself";

/// One connection to the daemon's own socket, kept for as long as it works.
pub(super) struct Pulse {
    models: Models,
    endpoint: Endpoint,
    control: Option<ControlClient<Channel>>,
}

impl Pulse {
    pub(super) const fn new(models: Models, endpoint: Endpoint) -> Self {
        Self {
            models,
            endpoint,
            control: None,
        }
    }

    /// Returns once the owner of the models and the server have answered.
    pub(super) async fn beat(&mut self) -> Result<(), Fault> {
        self.models.ceilings().await?;
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
