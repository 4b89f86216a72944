//! Plain gRPC to a daemon, as a program that knows only the `.proto` files speaks it.

use airunner_platform::Endpoint;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Uri};

use crate::Home;

/// A channel to the daemon of a home.
pub async fn channel(home: &Home) -> Channel {
    let status = home.cli().json(&["status"]).await;
    let endpoint = Endpoint::at(status["socket"].as_str().expect("a path").into());
    let connect = move |_: Uri| {
        let endpoint = endpoint.clone();
        async move { airunner_platform::connect(&endpoint).await.map(TokioIo::new) }
    };
    tonic::transport::Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(connect))
        .await
        .expect("the daemon listens")
}
