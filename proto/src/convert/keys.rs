//! Keys of the HTTP API and the audit log.

use std::time::{Duration, SystemTime};

use airunner_core::Fault;
use airunner_core::access::{AuditEntry, AuditEvent, CreatedKey, Key, KeyId, NewKey, Scope, Secret};

use super::common::{epoch_millis, millis, moment};
use super::wire::{answered, at_most, at_most_bytes, known, refused};
use crate::v1;

/// Longest text by which a key is looked for, bytes.
const MAX_NAME_BYTES: usize = 256;
/// Entries of the audit log, unless somebody says how many.
const USUAL_COUNT: u32 = 100;

impl From<NewKey> for v1::CreateKeyRequest {
    fn from(wanted: NewKey) -> Self {
        Self {
            name: wanted.name,
            scopes: texts(&wanted.scopes),
            expires_after_ms: wanted.expires_after.map(millis),
        }
    }
}

impl TryFrom<v1::CreateKeyRequest> for NewKey {
    type Error = Fault;

    fn try_from(wire: v1::CreateKeyRequest) -> Result<Self, Fault> {
        at_most(wire.scopes.len(), Scope::ALL.len(), "scopes")?;
        let all = Scope::ALL.map(Scope::as_str).join(", ");
        let scope = |text: &String| refused(Scope::parse(text), "scopes", text, &all);
        let wanted = Self {
            name: wire.name,
            scopes: wire.scopes.iter().map(scope).collect::<Result<_, _>>()?,
            expires_after: wire.expires_after_ms.map(Duration::from_millis),
        };
        wanted.check()?;
        Ok(wanted)
    }
}

impl From<CreatedKey> for v1::CreateKeyResponse {
    fn from(created: CreatedKey) -> Self {
        Self {
            key: Some(created.key.into()),
            secret: created.secret.reveal().to_owned(),
        }
    }
}

impl TryFrom<v1::CreateKeyResponse> for CreatedKey {
    type Error = Fault;

    fn try_from(wire: v1::CreateKeyResponse) -> Result<Self, Fault> {
        Ok(Self {
            key: answered(wire.key, "key")?.try_into()?,
            secret: Secret::new(wire.secret),
        })
    }
}

impl From<Key> for v1::Key {
    fn from(key: Key) -> Self {
        Self {
            id: key.id.0,
            name: key.name,
            prefix: key.prefix,
            scopes: texts(&key.scopes),
            created_at_ms: epoch_millis(key.created_at),
            expires_at_ms: key.expires_at.map(epoch_millis),
            last_used_at_ms: key.last_used_at.map(epoch_millis),
            revoked_at_ms: key.revoked_at.map(epoch_millis),
        }
    }
}

impl TryFrom<v1::Key> for Key {
    type Error = Fault;

    fn try_from(wire: v1::Key) -> Result<Self, Fault> {
        let scope = |text: &String| known(Scope::parse(text), "key.scopes", text);
        Ok(Self {
            id: KeyId(wire.id),
            name: wire.name,
            prefix: wire.prefix,
            scopes: wire.scopes.iter().map(scope).collect::<Result<_, _>>()?,
            created_at: moment(wire.created_at_ms, "key.created_at_ms")?,
            expires_at: perhaps(wire.expires_at_ms, "key.expires_at_ms")?,
            last_used_at: perhaps(wire.last_used_at_ms, "key.last_used_at_ms")?,
            revoked_at: perhaps(wire.revoked_at_ms, "key.revoked_at_ms")?,
        })
    }
}

impl From<Vec<Key>> for v1::ListKeysResponse {
    fn from(keys: Vec<Key>) -> Self {
        Self {
            keys: keys.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ListKeysResponse> for Vec<Key> {
    type Error = Fault;

    fn try_from(wire: v1::ListKeysResponse) -> Result<Self, Fault> {
        wire.keys.into_iter().map(TryInto::try_into).collect()
    }
}

impl From<String> for v1::RevokeKeyRequest {
    fn from(name_or_prefix: String) -> Self {
        Self { name_or_prefix }
    }
}

impl TryFrom<v1::RevokeKeyRequest> for String {
    type Error = Fault;

    fn try_from(wire: v1::RevokeKeyRequest) -> Result<Self, Fault> {
        at_most_bytes(&wire.name_or_prefix, MAX_NAME_BYTES, "name_or_prefix")?;
        Ok(wire.name_or_prefix)
    }
}

impl From<Secret> for v1::LocalTokenResponse {
    fn from(token: Secret) -> Self {
        Self {
            token: token.reveal().to_owned(),
        }
    }
}

impl From<v1::LocalTokenResponse> for Secret {
    fn from(wire: v1::LocalTokenResponse) -> Self {
        Self::new(wire.token)
    }
}

/// How many entries an audit request asks for.
#[must_use]
pub fn audit_count(wire: &v1::AuditRequest) -> u32 {
    match wire.count {
        0 => USUAL_COUNT,
        count => count,
    }
}

impl From<AuditEntry> for v1::AuditEntry {
    fn from(entry: AuditEntry) -> Self {
        Self {
            at_ms: epoch_millis(entry.at),
            event: entry.event.as_str().to_owned(),
            key_name: entry.key_name,
            address: entry.address,
            detail: entry.detail,
        }
    }
}

impl TryFrom<v1::AuditEntry> for AuditEntry {
    type Error = Fault;

    fn try_from(wire: v1::AuditEntry) -> Result<Self, Fault> {
        Ok(Self {
            at: moment(wire.at_ms, "entry.at_ms")?,
            event: known(AuditEvent::parse(&wire.event), "entry.event", &wire.event)?,
            key_name: wire.key_name,
            address: wire.address,
            detail: wire.detail,
        })
    }
}

impl From<Vec<AuditEntry>> for v1::AuditResponse {
    fn from(entries: Vec<AuditEntry>) -> Self {
        Self {
            entries: entries.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::AuditResponse> for Vec<AuditEntry> {
    type Error = Fault;

    fn try_from(wire: v1::AuditResponse) -> Result<Self, Fault> {
        wire.entries.into_iter().map(TryInto::try_into).collect()
    }
}

fn texts(scopes: &[Scope]) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

fn perhaps(ms: Option<u64>, field: &str) -> Result<Option<SystemTime>, Fault> {
    ms.map(|ms| moment(ms, field)).transpose()
}
