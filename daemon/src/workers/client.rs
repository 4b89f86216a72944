//! The daemon's side of the conversation with one worker.

use airunner_core::Fault;
use airunner_core::generate::{GenerateEvent, GenerateRequest};
use airunner_core::model::{WorkerLoad, WorkerLoadEvent};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeRequest};
use airunner_platform::Endpoint;
use airunner_proto::convert::fault_from_status;
use airunner_proto::worker_v1::worker_client::WorkerClient;
use airunner_proto::{MAX_MESSAGE_BYTES, v1, worker_v1};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_stream::Stream;
use tonic::transport::{Channel, Endpoint as Remote};

use super::channel::channel;
use super::{Answer, Llm};

/// One HTTP/2 connection to a worker. When it breaks, the worker counts as dead: there is no
/// second one.
#[derive(Clone, Debug)]
pub(super) struct Client(WorkerClient<Channel>);

impl Client {
    pub(super) async fn connect(endpoint: &Endpoint) -> Result<Self, Fault> {
        let remote = Remote::from_static("http://worker.localhost")
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        let channel = channel(endpoint, &remote)
            .await
            .map_err(|cause| Fault::internal(format!("cannot connect to the worker: {cause}")))?;
        let client = WorkerClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self(client))
    }

    pub(super) async fn load(
        &mut self,
        load: WorkerLoad,
    ) -> Result<impl Stream<Item = Result<WorkerLoadEvent, Fault>> + use<>, Fault> {
        let events = self.0.load(worker_v1::LoadRequest::from(load)).await;
        let events = events.map_err(|status| fault_from_status(&status))?.into_inner();
        Ok(events.map(|event| match event {
            Ok(event) => event.try_into(),
            Err(status) => Err(fault_from_status(&status)),
        }))
    }
}

impl Llm for Client {
    fn generate(&self, request: GenerateRequest) -> BoxFuture<'static, Result<Answer, Fault>> {
        let mut client = self.0.clone();
        async move {
            let events = client.generate(worker_v1::GenerateRequest::from(request)).await;
            let events = events.map_err(|status| fault_from_status(&status))?.into_inner();
            let events = events.map(|event| match event {
                Ok(event) => GenerateEvent::try_from(event),
                Err(status) => Err(fault_from_status(&status)),
            });
            Ok(events.boxed())
        }
        .boxed()
    }

    fn tokenize(&self, request: TokenizeRequest) -> BoxFuture<'static, Result<Vec<u32>, Fault>> {
        let mut client = self.0.clone();
        async move {
            let answer = client.tokenize(v1::TokenizeRequest::from(request)).await;
            answer
                .map(|answer| answer.into_inner().tokens)
                .map_err(|status| fault_from_status(&status))
        }
        .boxed()
    }

    fn detokenize(&self, request: DetokenizeRequest) -> BoxFuture<'static, Result<String, Fault>> {
        let mut client = self.0.clone();
        async move {
            let answer = client.detokenize(v1::DetokenizeRequest::from(request)).await;
            answer
                .map(|answer| answer.into_inner().text)
                .map_err(|status| fault_from_status(&status))
        }
        .boxed()
    }

    fn trim(&self) -> BoxFuture<'static, Result<(), Fault>> {
        let mut client = self.0.clone();
        async move {
            let trimmed = client.trim(worker_v1::TrimRequest {}).await;
            trimmed.map(drop).map_err(|status| fault_from_status(&status))
        }
        .boxed()
    }

    fn use_threads(&self, most: u32) -> BoxFuture<'static, Result<u32, Fault>> {
        let mut client = self.0.clone();
        async move {
            let request = worker_v1::UseThreadsRequest { threads: most };
            let answer = client.use_threads(request).await;
            answer
                .map(|answer| answer.into_inner().threads)
                .map_err(|status| fault_from_status(&status))
        }
        .boxed()
    }
}
