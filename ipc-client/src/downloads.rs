//! Fetching models from a hub.

use airunner_core::Fault;
use airunner_core::download::{Download, DownloadId, PullEvent, PullRequest};
use airunner_proto::v1;
use airunner_proto::v1::downloads_client::DownloadsClient;
use tonic::transport::Channel;

use crate::channel::{fault, promptly};
use crate::events::Events;

/// Pull, pause, resume, cancel. From [`Client::downloads`](crate::Client::downloads).
///
/// A download belongs to the daemon: it goes on when the client leaves, and after a restart.
#[derive(Clone, Debug)]
pub struct Downloads {
    client: DownloadsClient<Channel>,
}

impl Downloads {
    pub(crate) fn new(channel: Channel) -> Self {
        let client =
            DownloadsClient::new(channel).max_decoding_message_size(airunner_proto::MAX_MESSAGE_BYTES);
        Self { client }
    }

    /// Starts a download, resumes one, or joins one under way. The last event is
    /// [`PullEvent::Installed`]. Dropping the stream leaves the download running.
    pub async fn pull(&self, request: PullRequest) -> Result<Events<PullEvent>, Fault> {
        let mut client = self.client.clone();
        let request = v1::PullRequest::from(request);
        let answer = client.pull(request).await.map_err(|status| fault(&status))?;
        Ok(Events::new(answer.into_inner(), |event| {
            matches!(event, PullEvent::Installed(_))
        }))
    }

    /// Downloads that are not over, and those that ended lately.
    pub async fn list(&self) -> Result<Vec<Download>, Fault> {
        let mut client = self.client.clone();
        let call = async {
            client
                .list(v1::ListDownloadsRequest {})
                .await
                .map_err(|status| fault(&status))
        };
        promptly(call).await?.into_inner().try_into()
    }

    /// Stops a download and keeps what is here.
    pub async fn pause(&self, id: DownloadId) -> Result<Download, Fault> {
        let mut client = self.client.clone();
        let request = v1::DownloadRequest::from(id);
        let answer = client.pause(request).await.map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }

    /// Goes on with a download that is paused or has failed.
    pub async fn resume(&self, id: DownloadId) -> Result<Download, Fault> {
        let mut client = self.client.clone();
        let request = v1::DownloadRequest::from(id);
        let answer = client.resume(request).await.map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }

    /// Stops a download and deletes what is here.
    pub async fn cancel(&self, id: DownloadId) -> Result<Download, Fault> {
        let mut client = self.client.clone();
        let request = v1::DownloadRequest::from(id);
        let answer = client.cancel(request).await.map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }
}
