//! A machine with 1000 bytes on every device.

use airunner_core::memory::{ReserveRequest, Reserved};
use airunner_core::{ErrorKind, Fault};
use airunner_proto::v1;
use airunner_proto::v1::hardware_server::Hardware;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Answers, Script};

const FREE_BYTES: u64 = 1000;

#[tonic::async_trait]
impl Hardware for Script {
    type ReserveStream = Answers<v1::ReserveResponse>;

    async fn profile(&self, _: Request<v1::ProfileRequest>) -> Result<Response<v1::HardwareProfile>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn memory(&self, _: Request<v1::MemoryRequest>) -> Result<Response<v1::MemoryResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn set_budget(
        &self,
        _: Request<v1::SetBudgetRequest>,
    ) -> Result<Response<v1::MemoryResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn free(&self, _: Request<v1::FreeRequest>) -> Result<Response<v1::FreeResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn reserve(
        &self,
        request: Request<Streaming<v1::ReserveRequest>>,
    ) -> Result<Response<Self::ReserveStream>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        let (mut requests, given_back) = (request.into_inner(), self.given_back.clone());
        tokio::spawn(async move {
            let mut held = std::collections::BTreeMap::new();
            while let Some(Ok(request)) = requests.next().await {
                let request = ReserveRequest::try_from(request).expect("the client sends sound requests");
                let refusal = (request.bytes > FREE_BYTES)
                    .then(|| Fault::new(ErrorKind::OutOfMemory, "too much").figure("free_bytes", FREE_BYTES));
                if refusal.is_none() {
                    held.insert(request.device, request.bytes);
                }
                let reserved = Reserved {
                    device: request.device,
                    reserved_bytes: held.get(&request.device).copied().unwrap_or_default(),
                    refusal,
                };
                if sender.send(Ok(reserved.into())).await.is_err() {
                    break;
                }
            }
            if let Some(given_back) = given_back {
                given_back.send(()).await.expect("the test waits for it");
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}
