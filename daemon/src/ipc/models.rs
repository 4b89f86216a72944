//! `airunner.v1.Models`.

use airunner_core::activity::ActivityKind;
use airunner_core::download::VerifyRequest;
use airunner_core::memory::{EstimateRequest, PermissionRequest};
use airunner_core::model::{CopyRequest, ImportRequest, LoadEvent, LoadRequest, UnloadRequest};
use airunner_core::quantize::QuantizeRequest;
use airunner_core::usage::UsageRequest;
use airunner_core::{Fault, ModelName};
use airunner_proto::v1;
use airunner_proto::v1::models_server::Models as Rpc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::stream::{Events, events, status};
use crate::activities::Activities;
use crate::downloads::Downloads;
use crate::models::{Acquisition, Models, Turn};
use crate::quantize::Quantizer;
use crate::usage::Usage;

pub(super) struct Service {
    pub(super) activities: Activities,
    pub(super) downloads: Downloads,
    pub(super) models: Models,
    pub(super) quantizer: Quantizer,
    pub(super) usage: Usage,
}

#[tonic::async_trait]
impl Rpc for Service {
    type ImportStream = Events<v1::ImportModelResponse>;
    type LoadStream = Events<v1::LoadModelResponse>;
    type QuantizeStream = Events<v1::QuantizeModelResponse>;
    type VerifyStream = Events<v1::VerifyModelResponse>;

    async fn list(
        &self,
        _request: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        Ok(Response::new(self.models.list().into()))
    }

    async fn show(
        &self,
        request: Request<v1::ShowModelRequest>,
    ) -> Result<Response<v1::ShowModelResponse>, Status> {
        let name = ModelName::try_from(request.into_inner()).map_err(status)?;
        let details = self.models.show(&name).await.map_err(status)?;
        Ok(Response::new(details.into()))
    }

    async fn import(
        &self,
        request: Request<v1::ImportModelRequest>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        let request = ImportRequest::try_from(request.into_inner()).map_err(status)?;
        let name = request.name.clone();
        let told = self.models.import(request);
        let told = self.activities.track(ActivityKind::Import, name, told);
        events(ReceiverStream::new(told))
    }

    async fn copy(
        &self,
        request: Request<v1::CopyModelRequest>,
    ) -> Result<Response<v1::CopyModelResponse>, Status> {
        let request = CopyRequest::try_from(request.into_inner()).map_err(status)?;
        let copied = self.models.copy(request).await.map_err(status)?;
        Ok(Response::new(copied.into()))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveModelRequest>,
    ) -> Result<Response<v1::RemoveModelResponse>, Status> {
        let name = ModelName::try_from(request.into_inner()).map_err(status)?;
        self.models.remove(name).await.map_err(status)?;
        Ok(Response::new(v1::RemoveModelResponse {}))
    }

    async fn load(
        &self,
        request: Request<v1::LoadModelRequest>,
    ) -> Result<Response<Self::LoadStream>, Status> {
        let request = LoadRequest::try_from(request.into_inner()).map_err(status)?;
        let acquisition = self.models.load(request).await.map_err(status)?;
        events(futures_util::stream::unfold(Some(acquisition), next_of_load))
    }

    async fn unload(
        &self,
        request: Request<v1::UnloadModelRequest>,
    ) -> Result<Response<v1::UnloadModelResponse>, Status> {
        let request = UnloadRequest::try_from(request.into_inner()).map_err(status)?;
        let was_loaded = self
            .models
            .unload(request.name, request.force)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::UnloadModelResponse { was_loaded }))
    }

    async fn estimate(
        &self,
        request: Request<v1::EstimateModelRequest>,
    ) -> Result<Response<v1::EstimateModelResponse>, Status> {
        let request = EstimateRequest::try_from(request.into_inner()).map_err(status)?;
        let estimate = self.models.estimate(request).await.map_err(status)?;
        Ok(Response::new(estimate.into()))
    }

    async fn can_perform(
        &self,
        request: Request<v1::CanPerformRequest>,
    ) -> Result<Response<v1::CanPerformResponse>, Status> {
        let request = PermissionRequest::try_from(request.into_inner()).map_err(status)?;
        let permission = self.models.can_perform(request).await.map_err(status)?;
        Ok(Response::new(permission.into()))
    }

    async fn quantize(
        &self,
        request: Request<v1::QuantizeModelRequest>,
    ) -> Result<Response<Self::QuantizeStream>, Status> {
        let request = QuantizeRequest::try_from(request.into_inner()).map_err(status)?;
        self.quantizer.check(&request).map_err(status)?;
        let name = request.model.clone();
        let told = self.quantizer.quantize(request);
        let told = self.activities.track(ActivityKind::Quantize, name, told);
        events(ReceiverStream::new(told))
    }

    async fn verify(
        &self,
        request: Request<v1::VerifyModelRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        let request = VerifyRequest::try_from(request.into_inner()).map_err(status)?;
        let name = request.name.clone();
        let told = self.downloads.verify(request);
        let told = self.activities.track(ActivityKind::Verify, name, told);
        events(ReceiverStream::new(told))
    }

    async fn usage(&self, request: Request<v1::UsageRequest>) -> Result<Response<v1::UsageResponse>, Status> {
        let request = UsageRequest::from(request.into_inner());
        let usage = self.usage.summary(request.within).await.map_err(status)?;
        Ok(Response::new(usage.into()))
    }
}

/// A load as a stream: the place in the queue, progress, then the model.
async fn next_of_load(
    waiting: Option<Acquisition>,
) -> Option<(Result<LoadEvent, Fault>, Option<Acquisition>)> {
    let mut waiting = waiting?;
    match waiting.turn().await {
        Ok(Turn::Queued(queued)) => Some((Ok(LoadEvent::Queued(queued)), Some(waiting))),
        Ok(Turn::Loading(progress)) => Some((Ok(LoadEvent::Progress(progress)), Some(waiting))),
        Ok(Turn::Granted(lease)) => Some((Ok(LoadEvent::Loaded(lease.model)), None)),
        Err(fault) => Some((Err(fault), None)),
    }
}
