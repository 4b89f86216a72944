//! gRPC over one connection to a local socket.

use airunner_core::error::chain;
use airunner_platform::{Connection, Endpoint};
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint as Remote};

/// When the connection breaks, the channel is of no use any more: there is no second one. The error
/// says why there is none.
pub(crate) async fn channel(endpoint: &Endpoint, remote: &Remote) -> Result<Channel, String> {
    let connection = airunner_platform::connect(endpoint)
        .await
        .map_err(|error| chain(&error))?;
    let mut once = Some(connection);
    let connector = tower::service_fn(move |_: tonic::codegen::http::Uri| {
        let connection = once.take().ok_or(std::io::ErrorKind::NotConnected);
        async move {
            connection
                .map(TokioIo::<Connection>::new)
                .map_err(std::io::Error::from)
        }
    });
    let connected = remote.connect_with_connector(connector).await;
    connected.map_err(|error| chain(&error))
}
