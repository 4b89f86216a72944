//! Everything that happens.

use axum::extract::ws::WebSocket;

use super::connection::{Connection, Farewell, Received};
use crate::http::api::Api;
use crate::http::native::views::SequencedBody;

pub(super) async fn serve(socket: WebSocket, api: &Api) {
    let mut watch = api.models.watch();
    let mut connection = Connection::new(socket, api.limits.body_bytes);
    loop {
        tokio::select! {
            message = watch.next() => {
                let Some(message) = message else {
                    return connection.close(Farewell::AWAY).await;
                };
                if connection.send(&SequencedBody::from(message)).await.is_err() {
                    return;
                }
            }
            received = connection.receive() => match received {
                // This one only tells.
                Received::Text(_) => {}
                Received::End(Some(farewell)) => return connection.close(farewell).await,
                Received::End(None) => return,
            },
        }
    }
}
