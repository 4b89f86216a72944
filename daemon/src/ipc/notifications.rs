//! `airunner.v1.Notifications`.

use airunner_core::notification::{NotificationId, PresenterReport};
use airunner_platform::Peer;
use airunner_proto::convert::notifications::{asked_action, asked_hello};
use airunner_proto::v1;
use airunner_proto::v1::notifications_server::Notifications as Rpc;
use tokio::task::JoinSet;
use tonic::{Request, Response, Status, Streaming};

use super::stream::{Events, events, status};
use crate::notifications::{Notifications, Presenter, Reporter};

pub(super) struct Service {
    pub(super) notifications: Notifications,
}

#[tonic::async_trait]
impl Rpc for Service {
    type PresentStream = Events<v1::PresentResponse>;

    async fn list(
        &self,
        request: Request<v1::ListNotificationsRequest>,
    ) -> Result<Response<v1::ListNotificationsResponse>, Status> {
        let all = request.into_inner().all;
        let listed = self.notifications.list(all).await.map_err(status)?;
        Ok(Response::new(listed.into()))
    }

    async fn act(&self, request: Request<v1::ActRequest>) -> Result<Response<v1::ActResponse>, Status> {
        let (id, action) = asked_action(request.into_inner()).map_err(status)?;
        let result = self.notifications.act(id, action).await.map_err(status)?;
        Ok(Response::new(result.into()))
    }

    async fn dismiss(
        &self,
        request: Request<v1::DismissRequest>,
    ) -> Result<Response<v1::Notification>, Status> {
        let id = NotificationId(request.into_inner().id);
        let dismissed = self.notifications.dismiss(id).await.map_err(status)?;
        Ok(Response::new(dismissed.into()))
    }

    async fn test(
        &self,
        _request: Request<v1::TestNotificationRequest>,
    ) -> Result<Response<v1::TestNotificationResponse>, Status> {
        let report = self.notifications.test().await.map_err(status)?;
        Ok(Response::new(report.into()))
    }

    async fn present(
        &self,
        request: Request<Streaming<v1::PresentRequest>>,
    ) -> Result<Response<Self::PresentStream>, Status> {
        let pid = request.extensions().get::<Peer>().and_then(|peer| peer.pid);
        let mut said = request.into_inner();
        let first = said.message().await?.unwrap_or_default();
        let name = asked_hello(first).map_err(status)?;
        let presenter = Presenter::Program { name, pid };
        let presentation = self.notifications.present(presenter).await.map_err(status)?;
        // Ends when nobody reads the orders any more, and when it ends they do.
        let mut listening = JoinSet::new();
        listening.spawn(listen(said, presentation.reporter));
        let orders = futures_util::stream::unfold(
            (presentation.orders, listening),
            |(mut orders, listening)| async move {
                let order = orders.recv().await?;
                Some((Ok(order), (orders, listening)))
            },
        );
        events(orders)
    }
}

/// Until the presenter says no more, or something that nobody understands.
async fn listen(mut said: Streaming<v1::PresentRequest>, reporter: Reporter) {
    while let Ok(Some(message)) = said.message().await {
        match PresenterReport::try_from(message) {
            Ok(report) => reporter.report(report).await,
            Err(fault) => {
                tracing::debug!(reason = %fault.kind, "a presenter is not understood: {fault}");
                return;
            }
        }
    }
}
