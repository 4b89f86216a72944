//! The daemon itself.

use airunner_core::Fault;
use airunner_core::activity::ActivityId;
use airunner_core::event::WatchMessage;
use airunner_core::pause::{PauseRequest, Paused};
use airunner_core::status::DaemonStatus;
use airunner_proto::v1;
use airunner_proto::v1::control_client::ControlClient;
use tonic::transport::Channel;

use crate::channel::{fault, promptly};
use crate::events::Events;

/// Status and shutdown. From [`Client::control`](crate::Client::control).
#[derive(Clone, Debug)]
pub struct Control {
    client: ControlClient<Channel>,
}

impl Control {
    pub(crate) fn new(channel: Channel) -> Self {
        let client = ControlClient::new(channel).max_decoding_message_size(airunner_proto::MAX_MESSAGE_BYTES);
        Self { client }
    }

    /// Who the daemon is and what it has in memory.
    pub async fn status(&self) -> Result<DaemonStatus, Fault> {
        let mut client = self.client.clone();
        let call = async {
            client
                .status(v1::StatusRequest {})
                .await
                .map_err(|status| fault(&status))
        };
        promptly(call).await?.into_inner().try_into()
    }

    /// Ends the daemon. Running requests may finish within the grace time, or with `force` are
    /// cancelled. Returns at once; [`wait_for_end`](crate::wait_for_end) waits.
    pub async fn shutdown(&self, force: bool) -> Result<(), Fault> {
        let mut client = self.client.clone();
        let request = v1::ShutdownRequest { force };
        promptly(async { client.shutdown(request).await.map_err(|status| fault(&status)) }).await?;
        Ok(())
    }

    /// Unloads every model and refuses whatever would load or run one, until [`resume`](Self::resume)
    /// or until the time is over. Returns when the memory of what was idle is back.
    pub async fn pause(&self, request: PauseRequest) -> Result<Paused, Fault> {
        let mut client = self.client.clone();
        let answer = client
            .pause(v1::PauseRequest::from(request))
            .await
            .map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }

    /// Ends a pause. True if there was one.
    pub async fn resume(&self) -> Result<bool, Fault> {
        let mut client = self.client.clone();
        let call = async {
            client
                .resume(v1::ResumeRequest {})
                .await
                .map_err(|status| fault(&status))
        };
        Ok(promptly(call).await?.into_inner().was_paused)
    }

    /// Gives up what is being worked on. What was begun leaves nothing.
    pub async fn cancel_activity(&self, id: ActivityId) -> Result<(), Fault> {
        let mut client = self.client.clone();
        let request = v1::CancelActivityRequest { id: id.0 };
        promptly(async {
            client
                .cancel_activity(request)
                .await
                .map_err(|status| fault(&status))
        })
        .await?;
        Ok(())
    }

    /// One subscription, without reconnecting: a snapshot, then every change in order.
    /// [`Watch`](crate::Watch) is the comfortable form.
    pub async fn subscribe(&self) -> Result<Events<WatchMessage>, Fault> {
        let mut client = self.client.clone();
        let call = async {
            client
                .watch(v1::WatchRequest {})
                .await
                .map_err(|status| fault(&status))
        };
        Ok(Events::new(promptly(call).await?.into_inner(), |_| false))
    }
}
