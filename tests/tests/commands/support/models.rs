use airunner_proto::v1;
use airunner_proto::v1::models_server::Models;
use tonic::{Request, Response, Status};

use super::{Answers, Script, then_open};

fn not_scripted<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not scripted"))
}

#[tonic::async_trait]
impl Models for Script {
    type ImportStream = Answers<v1::ImportModelResponse>;
    type LoadStream = Answers<v1::LoadModelResponse>;
    type QuantizeStream = Answers<v1::QuantizeModelResponse>;
    type VerifyStream = Answers<v1::VerifyModelResponse>;

    async fn load(
        &self,
        request: Request<v1::LoadModelRequest>,
    ) -> Result<Response<Self::LoadStream>, Status> {
        let request = request.into_inner();
        self.note(format!(
            "load {} {:?} {:?} {} {:?} {}",
            request.name,
            request.pinned,
            request.context_length,
            request.level,
            request.max_wait_ms,
            request.priority().as_str_name()
        ));
        Ok(Response::new(then_open(self.load.clone())))
    }

    async fn verify(
        &self,
        request: Request<v1::VerifyModelRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        self.note(format!("verify {}", request.into_inner().repair));
        Ok(Response::new(then_open(
            self.verify.iter().cloned().map(Ok).collect(),
        )))
    }

    async fn list(
        &self,
        _: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        not_scripted()
    }

    async fn show(
        &self,
        _: Request<v1::ShowModelRequest>,
    ) -> Result<Response<v1::ShowModelResponse>, Status> {
        not_scripted()
    }

    async fn import(
        &self,
        _: Request<v1::ImportModelRequest>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        not_scripted()
    }

    async fn quantize(
        &self,
        _: Request<v1::QuantizeModelRequest>,
    ) -> Result<Response<Self::QuantizeStream>, Status> {
        not_scripted()
    }

    async fn copy(
        &self,
        _: Request<v1::CopyModelRequest>,
    ) -> Result<Response<v1::CopyModelResponse>, Status> {
        not_scripted()
    }

    async fn remove(
        &self,
        _: Request<v1::RemoveModelRequest>,
    ) -> Result<Response<v1::RemoveModelResponse>, Status> {
        not_scripted()
    }

    async fn unload(
        &self,
        _: Request<v1::UnloadModelRequest>,
    ) -> Result<Response<v1::UnloadModelResponse>, Status> {
        not_scripted()
    }

    async fn estimate(
        &self,
        _: Request<v1::EstimateModelRequest>,
    ) -> Result<Response<v1::EstimateModelResponse>, Status> {
        not_scripted()
    }

    async fn can_perform(
        &self,
        _: Request<v1::CanPerformRequest>,
    ) -> Result<Response<v1::CanPerformResponse>, Status> {
        not_scripted()
    }

    async fn usage(&self, _: Request<v1::UsageRequest>) -> Result<Response<v1::UsageResponse>, Status> {
        not_scripted()
    }
}
