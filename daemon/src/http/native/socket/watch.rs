//! Everything that happens.

use axum::extract::ws::WebSocket;

use super::connection::{Connection, Farewell, Received};
use crate::http::api::Api;
use crate::http::guard::Visitor;
use crate::http::native::views::SequencedBody;
use crate::http::server::Moved;

pub(super) async fn serve(socket: WebSocket, api: &Api, visitor: &Visitor, moved: &Moved) {
    let mut moved = std::pin::pin!(moved.told());
    let mut lost = std::pin::pin!(visitor.lost());
    let mut watch = api.models.watch();
    let mut connection = Connection::new(socket, api.limits.borrow().body_bytes);
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
            () = &mut moved => return connection.close(Farewell::MOVED).await,
            _ = &mut lost => return connection.close(Farewell::KEY_GONE).await,
            received = connection.receive() => match received {
                // This one only tells.
                Received::Text(_) => {}
                Received::End(Some(farewell)) => return connection.close(farewell).await,
                Received::End(None) => return,
            },
        }
    }
}
