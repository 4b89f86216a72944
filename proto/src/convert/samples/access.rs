//! Keys and the audit log, for property tests.

use airunner_core::access::{AuditEntry, AuditEvent, CreatedKey, Key, KeyId, NewKey, Scope, Secret};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{moment, text};

fn scopes() -> impl Strategy<Value = Vec<Scope>> {
    vec(select(&Scope::ALL), 1..=3)
}

pub(in crate::convert) fn new_key() -> impl Strategy<Value = NewKey> {
    let life = (1000..1_u64 << 40).prop_map(std::time::Duration::from_millis);
    ("[a-zA-Z0-9._-]{1,64}", scopes(), option::of(life)).prop_map(|(name, scopes, expires_after)| NewKey {
        name,
        scopes,
        expires_after,
    })
}

pub(in crate::convert) fn key() -> impl Strategy<Value = Key> {
    let times = [option::of(moment()), option::of(moment()), option::of(moment())];
    (any::<u64>(), [text(), text()], scopes(), moment(), times).prop_map(
        |(id, [name, prefix], scopes, created_at, [expires_at, last_used_at, revoked_at])| Key {
            id: KeyId(id),
            name,
            prefix,
            scopes,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        },
    )
}

pub(in crate::convert) fn secret() -> impl Strategy<Value = Secret> {
    text().prop_map(Secret::new)
}

pub(in crate::convert) fn created_key() -> impl Strategy<Value = CreatedKey> {
    (key(), secret()).prop_map(|(key, secret)| CreatedKey { key, secret })
}

pub(in crate::convert) fn audit_entry() -> impl Strategy<Value = AuditEntry> {
    let texts = (option::of(text()), option::of(text()), text());
    (moment(), select(&AuditEvent::ALL), texts).prop_map(|(at, event, (key_name, address, detail))| {
        AuditEntry {
            at,
            event,
            key_name,
            address,
            detail,
        }
    })
}
