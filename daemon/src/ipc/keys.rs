//! `airunner.v1.Keys`.

use airunner_core::access::NewKey;
use airunner_proto::convert::keys::audit_count;
use airunner_proto::v1;
use airunner_proto::v1::keys_server::Keys as Rpc;
use tonic::{Request, Response, Status};

use super::stream::status;
use crate::keys::Keys;

pub(super) struct Service {
    pub(super) keys: Keys,
}

#[tonic::async_trait]
impl Rpc for Service {
    async fn create(
        &self,
        request: Request<v1::CreateKeyRequest>,
    ) -> Result<Response<v1::CreateKeyResponse>, Status> {
        let wanted = NewKey::try_from(request.into_inner()).map_err(status)?;
        let created = self.keys.create(wanted).await.map_err(status)?;
        Ok(Response::new(created.into()))
    }

    async fn list(
        &self,
        _request: Request<v1::ListKeysRequest>,
    ) -> Result<Response<v1::ListKeysResponse>, Status> {
        Ok(Response::new(self.keys.list().into()))
    }

    async fn revoke(&self, request: Request<v1::RevokeKeyRequest>) -> Result<Response<v1::Key>, Status> {
        let name_or_prefix = String::try_from(request.into_inner()).map_err(status)?;
        let revoked = self.keys.revoke(name_or_prefix).await.map_err(status)?;
        Ok(Response::new(revoked.into()))
    }

    async fn local_token(
        &self,
        _request: Request<v1::LocalTokenRequest>,
    ) -> Result<Response<v1::LocalTokenResponse>, Status> {
        Ok(Response::new(self.keys.local_token().clone().into()))
    }

    async fn audit(&self, request: Request<v1::AuditRequest>) -> Result<Response<v1::AuditResponse>, Status> {
        let count = audit_count(request.get_ref());
        let entries = self.keys.audit(count).await.map_err(status)?;
        Ok(Response::new(entries.into()))
    }
}
