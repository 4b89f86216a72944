//! `airunner.v1.Catalog`.

use airunner_proto::v1;
use airunner_proto::v1::catalog_server::Catalog as Rpc;
use tonic::{Request, Response, Status};

use super::stream::status;
use crate::catalog::Catalog;
use crate::models::Models;

pub(super) struct Service {
    pub(super) catalog: Catalog,
    pub(super) models: Models,
}

#[tonic::async_trait]
impl Rpc for Service {
    async fn list(
        &self,
        request: Request<v1::ListCatalogRequest>,
    ) -> Result<Response<v1::ListCatalogResponse>, Status> {
        let query = String::try_from(request.into_inner()).map_err(status)?;
        let ceilings = self.models.cpu_ceilings().await.map_err(status)?;
        let entries = self
            .catalog
            .list(query, self.models.list(), ceilings)
            .await
            .map_err(status)?;
        Ok(Response::new(entries.into()))
    }
}
