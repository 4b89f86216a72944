//! Models that are known, installed or not.

use airunner_core::Fault;
use airunner_core::catalog::CatalogEntry;
use airunner_proto::v1;
use airunner_proto::v1::catalog_client::CatalogClient;
use tonic::transport::Channel;

use crate::channel::fault;

/// The catalogue. From [`Client::catalog`](crate::Client::catalog).
#[derive(Clone, Debug)]
pub struct Catalog {
    client: CatalogClient<Channel>,
}

impl Catalog {
    pub(crate) fn new(channel: Channel) -> Self {
        let client = CatalogClient::new(channel).max_decoding_message_size(airunner_proto::MAX_MESSAGE_BYTES);
        Self { client }
    }

    /// Known models whose name, alias, description or repository contains every word of `query`;
    /// all of them if it is empty. Needs no network.
    pub async fn list(&self, query: &str) -> Result<Vec<CatalogEntry>, Fault> {
        let mut client = self.client.clone();
        let request = v1::ListCatalogRequest::from(query.to_owned());
        let answer = client.list(request).await.map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }
}
