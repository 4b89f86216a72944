//! What the user of this machine is told.

use airunner_core::Fault;
use airunner_core::notification::{ActionResult, Notification, NotificationId, TestReport};
use airunner_proto::v1;
use airunner_proto::v1::notifications_client::NotificationsClient;
use tonic::transport::Channel;

use crate::channel::{fault, promptly};

/// List, answer, dismiss, test. From [`Client::notifications`](crate::Client::notifications).
/// [`present`](crate::present) puts them on a screen.
#[derive(Clone, Debug)]
pub struct Notifications {
    client: NotificationsClient<Channel>,
}

impl Notifications {
    pub(crate) fn new(channel: Channel) -> Self {
        let client =
            NotificationsClient::new(channel).max_decoding_message_size(airunner_proto::MAX_MESSAGE_BYTES);
        Self { client }
    }

    /// Those that want an answer, or all that are remembered; the newest first.
    pub async fn list(&self, all: bool) -> Result<Vec<Notification>, Fault> {
        let mut client = self.client.clone();
        let call = async {
            client
                .list(v1::ListNotificationsRequest { all })
                .await
                .map_err(|status| fault(&status))
        };
        promptly(call).await?.into_inner().try_into()
    }

    /// Presses a button. What it asks for is begun, not waited for, and done once however often
    /// it is pressed.
    pub async fn act(&self, id: NotificationId, action: &str) -> Result<ActionResult, Fault> {
        let mut client = self.client.clone();
        let request = v1::ActRequest {
            id: id.0,
            action: action.to_owned(),
        };
        let answer = client.act(request).await.map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }

    /// It wants no answer any more.
    pub async fn dismiss(&self, id: NotificationId) -> Result<Notification, Fault> {
        let mut client = self.client.clone();
        let answer = client.dismiss(v1::DismissRequest { id: id.0 }).await;
        answer.map_err(|status| fault(&status))?.into_inner().try_into()
    }

    /// Sends one to see whether it arrives, waits a few seconds, and says whether somebody can
    /// see it.
    pub async fn test(&self) -> Result<TestReport, Fault> {
        let mut client = self.client.clone();
        let answer = client.test(v1::TestNotificationRequest {}).await;
        answer.map_err(|status| fault(&status))?.into_inner().try_into()
    }
}
