//! Installed models and what is in memory.

use airunner_core::model::{
    ImportEvent, ImportRequest, LoadEvent, LoadRequest, Model, ModelDetails, UnloadRequest,
};
use airunner_core::{Fault, ModelName};
use airunner_proto::v1;
use airunner_proto::v1::models_client::ModelsClient;
use tonic::transport::Channel;

use crate::channel::{fault, promptly};
use crate::events::Events;

/// List, import, load and unload. From [`Client::models`](crate::Client::models).
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
}
