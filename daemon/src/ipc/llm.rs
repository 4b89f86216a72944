//! `airunner.v1.Llm`.

use airunner_core::generate::{ClientId, GenerateRequest};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeRequest};
use airunner_platform::Peer;
use airunner_proto::v1;
use airunner_proto::v1::llm_server::Llm;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::stream::{Events, events, status};
use crate::inference::Inference;

pub(super) struct Service {
    pub(super) inference: Inference,
}

#[tonic::async_trait]
impl Llm for Service {
    type GenerateStream = Events<v1::GenerateResponse>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let program = request.extensions().get::<Peer>().and_then(|peer| peer.pid);
        let client = program.map_or_else(ClientId::default, ClientId::program);
        let request = GenerateRequest::try_from(request.into_inner()).map_err(status)?;
        let answer = self.inference.generate(client, request).map_err(status)?;
        events(ReceiverStream::new(answer))
    }

    async fn tokenize(
        &self,
        request: Request<v1::TokenizeRequest>,
    ) -> Result<Response<v1::TokenizeResponse>, Status> {
        let request = TokenizeRequest::try_from(request.into_inner()).map_err(status)?;
        let tokens = self.inference.tokenize(request).await.map_err(status)?;
        Ok(Response::new(v1::TokenizeResponse { tokens }))
    }

    async fn detokenize(
        &self,
        request: Request<v1::DetokenizeRequest>,
    ) -> Result<Response<v1::DetokenizeResponse>, Status> {
        let request = DetokenizeRequest::try_from(request.into_inner()).map_err(status)?;
        let text = self.inference.detokenize(request).await.map_err(status)?;
        Ok(Response::new(v1::DetokenizeResponse { text }))
    }
}
