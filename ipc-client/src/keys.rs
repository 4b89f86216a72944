//! Keys of the HTTP API, and the audit log.

use airunner_core::Fault;
use airunner_core::access::{AuditEntry, CreatedKey, Key, NewKey, Secret};
use airunner_proto::v1;
use airunner_proto::v1::keys_client::KeysClient;
use tonic::transport::Channel;

use crate::channel::fault;

/// Keys of the HTTP API. From [`Client::keys`](crate::Client::keys).
#[derive(Clone, Debug)]
pub struct Keys {
    client: KeysClient<Channel>,
}

impl Keys {
    pub(crate) fn new(channel: Channel) -> Self {
        let client = KeysClient::new(channel).max_decoding_message_size(airunner_proto::MAX_MESSAGE_BYTES);
        Self { client }
    }

    /// Makes a key. The answer is the only place where it is ever seen.
    pub async fn create(&self, wanted: NewKey) -> Result<CreatedKey, Fault> {
        let mut client = self.client.clone();
        let answer = client.create(v1::CreateKeyRequest::from(wanted)).await;
        answer.map_err(|status| fault(&status))?.into_inner().try_into()
    }

    /// Every key, also revoked ones, in the order in which they were made.
    pub async fn list(&self) -> Result<Vec<Key>, Fault> {
        let mut client = self.client.clone();
        let answer = client.list(v1::ListKeysRequest {}).await;
        answer.map_err(|status| fault(&status))?.into_inner().try_into()
    }

    /// From the answer on the key opens nothing. Found by its name, or by its prefix as it is
    /// listed.
    pub async fn revoke(&self, name_or_prefix: &str) -> Result<Key, Fault> {
        let mut client = self.client.clone();
        let request = v1::RevokeKeyRequest::from(name_or_prefix.to_owned());
        let answer = client.revoke(request).await;
        answer.map_err(|status| fault(&status))?.into_inner().try_into()
    }

    /// The token with which programs of this user call the HTTP API.
    pub async fn local_token(&self) -> Result<Secret, Fault> {
        let mut client = self.client.clone();
        let answer = client.local_token(v1::LocalTokenRequest {}).await;
        Ok(answer.map_err(|status| fault(&status))?.into_inner().into())
    }

    /// The newest entries of the audit log, the newest first; 0 asks for 100.
    pub async fn audit(&self, count: u32) -> Result<Vec<AuditEntry>, Fault> {
        let mut client = self.client.clone();
        let answer = client.audit(v1::AuditRequest { count }).await;
        answer.map_err(|status| fault(&status))?.into_inner().try_into()
    }
}
