//! `airunner.v1.Downloads`.

use airunner_core::download::{DownloadId, PullRequest};
use airunner_proto::v1;
use airunner_proto::v1::downloads_server::Downloads as Rpc;
use tonic::{Request, Response, Status};

use super::stream::{Events, events, status};
use crate::downloads::Downloads;

pub(super) struct Service {
    pub(super) downloads: Downloads,
}

#[tonic::async_trait]
impl Rpc for Service {
    type PullStream = Events<v1::PullResponse>;

    async fn pull(&self, request: Request<v1::PullRequest>) -> Result<Response<Self::PullStream>, Status> {
        let request = PullRequest::try_from(request.into_inner()).map_err(status)?;
        events(self.downloads.pull(request).await.map_err(status)?)
    }

    async fn list(
        &self,
        _request: Request<v1::ListDownloadsRequest>,
    ) -> Result<Response<v1::ListDownloadsResponse>, Status> {
        Ok(Response::new(self.downloads.list().await.map_err(status)?.into()))
    }

    async fn pause(&self, request: Request<v1::DownloadRequest>) -> Result<Response<v1::Download>, Status> {
        let id = DownloadId::from(request.into_inner());
        Ok(Response::new(
            self.downloads.pause(id).await.map_err(status)?.into(),
        ))
    }

    async fn resume(&self, request: Request<v1::DownloadRequest>) -> Result<Response<v1::Download>, Status> {
        let id = DownloadId::from(request.into_inner());
        Ok(Response::new(
            self.downloads.resume(id).await.map_err(status)?.into(),
        ))
    }

    async fn cancel(&self, request: Request<v1::DownloadRequest>) -> Result<Response<v1::Download>, Status> {
        let id = DownloadId::from(request.into_inner());
        Ok(Response::new(
            self.downloads.cancel(id).await.map_err(status)?.into(),
        ))
    }
}
