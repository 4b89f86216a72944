//! Installed models and what is in memory.

use airunner_core::download::{VerifyEvent, VerifyRequest};
use airunner_core::memory::{Estimate, EstimateRequest, Permission, PermissionRequest};
use airunner_core::model::{
    CopyRequest, ImportEvent, ImportRequest, LoadEvent, LoadRequest, Model, ModelDetails, UnloadRequest,
};
use airunner_core::quantize::{QuantizeEvent, QuantizeRequest};
use airunner_core::usage::{Usage, UsageRequest};
use airunner_core::{Fault, ModelName};
use airunner_proto::v1;
use airunner_proto::v1::models_client::ModelsClient;
use tonic::transport::Channel;

use crate::channel::{fault, promptly};
use crate::events::Events;

/// List, import, copy, load, unload, estimate, verify. From [`Client::models`](crate::Client::models).
#[derive(Clone, Debug)]
pub struct Models {
    client: ModelsClient<Channel>,
}

impl Models {
    pub(crate) fn new(channel: Channel) -> Self {
        let client = ModelsClient::new(channel).max_decoding_message_size(airunner_proto::MAX_MESSAGE_BYTES);
        Self { client }
    }

    /// Every installed model.
    pub async fn list(&self) -> Result<Vec<Model>, Fault> {
        let mut client = self.client.clone();
        let call = async {
            client
                .list(v1::ListModelsRequest {})
                .await
                .map_err(|status| fault(&status))
        };
        promptly(call).await?.into_inner().try_into()
    }

    /// What is known of one model.
    pub async fn show(&self, name: ModelName) -> Result<ModelDetails, Fault> {
        let mut client = self.client.clone();
        let request = v1::ShowModelRequest::from(name);
        client
            .show(request)
            .await
            .map_err(|status| fault(&status))?
            .into_inner()
            .try_into()
    }

    /// Copies a directory on the daemon's machine into the model store. Dropping the stream
    /// before its last event gives the import up and leaves nothing behind.
    pub async fn import(&self, request: ImportRequest) -> Result<Events<ImportEvent>, Fault> {
        let mut client = self.client.clone();
        let request = v1::ImportModelRequest::from(request);
        let answer = client.import(request).await.map_err(|status| fault(&status))?;
        Ok(Events::new(answer.into_inner(), |event| {
            matches!(event, ImportEvent::Installed(_))
        }))
    }

    /// Makes a second model of the same files; neither needs the other.
    pub async fn copy(&self, request: CopyRequest) -> Result<Model, Fault> {
        let mut client = self.client.clone();
        let request = v1::CopyModelRequest::from(request);
        let answer = client.copy(request).await.map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }

    /// Makes a smaller model of an installed one. Dropping the stream before its last event gives
    /// it up and leaves nothing behind.
    pub async fn quantize(&self, request: QuantizeRequest) -> Result<Events<QuantizeEvent>, Fault> {
        let mut client = self.client.clone();
        let request = v1::QuantizeModelRequest::from(request);
        let answer = client.quantize(request).await.map_err(|status| fault(&status))?;
        Ok(Events::new(answer.into_inner(), |event| {
            matches!(event, QuantizeEvent::Installed { .. })
        }))
    }

    /// Deletes an unloaded model from disk.
    pub async fn remove(&self, name: ModelName) -> Result<(), Fault> {
        let mut client = self.client.clone();
        let request = v1::RemoveModelRequest::from(name);
        client.remove(request).await.map_err(|status| fault(&status))?;
        Ok(())
    }

    /// Loads a model or joins a load under way. Dropping the stream gives up waiting; a load
    /// that nobody waits for is cancelled.
    pub async fn load(&self, request: LoadRequest) -> Result<Events<LoadEvent>, Fault> {
        let mut client = self.client.clone();
        let request = v1::LoadModelRequest::from(request);
        let answer = client.load(request).await.map_err(|status| fault(&status))?;
        Ok(Events::new(answer.into_inner(), |event| {
            matches!(event, LoadEvent::Loaded(_))
        }))
    }

    /// Takes a model out of memory; returns when its worker is gone. False if it was not loaded.
    pub async fn unload(&self, request: UnloadRequest) -> Result<bool, Fault> {
        let mut client = self.client.clone();
        let request = v1::UnloadModelRequest::from(request);
        let answer = client.unload(request).await.map_err(|status| fault(&status))?;
        Ok(answer.into_inner().was_loaded)
    }

    /// What loading a model would take and what would have to go. Loads nothing.
    pub async fn estimate(&self, request: EstimateRequest) -> Result<Estimate, Fault> {
        let mut client = self.client.clone();
        let request = v1::EstimateModelRequest::from(request);
        let answer = client.estimate(request).await.map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }

    /// Whether an operation could start now.
    pub async fn can_perform(&self, request: PermissionRequest) -> Result<Permission, Fault> {
        let mut client = self.client.clone();
        let request = v1::CanPerformRequest::from(request);
        let answer = client
            .can_perform(request)
            .await
            .map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }

    /// Compares every file of a model with what was published, and with `repair` fetches what is
    /// bad again. The last event is [`VerifyEvent::Finished`]. Dropping the stream stops it.
    pub async fn verify(&self, request: VerifyRequest) -> Result<Events<VerifyEvent>, Fault> {
        let mut client = self.client.clone();
        let request = v1::VerifyModelRequest::from(request);
        let answer = client.verify(request).await.map_err(|status| fault(&status))?;
        Ok(Events::new(answer.into_inner(), |event| {
            matches!(event, VerifyEvent::Finished(_))
        }))
    }

    /// What models were used and what it cost.
    pub async fn usage(&self, request: UsageRequest) -> Result<Vec<Usage>, Fault> {
        let mut client = self.client.clone();
        let request = v1::UsageRequest::from(request);
        let answer = client.usage(request).await.map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }
}
