//! Keys of the HTTP API, and the audit log.

use std::time::SystemTime;

use airunner_core::access::{AuditEntry, CreatedKey, Key};
use serde::Serialize;

use crate::table::{Align, Table};
use crate::units;

/// `airunner keys token`.
#[derive(Debug, Serialize)]
pub(crate) struct TokenView<'a> {
    pub(crate) token: &'a str,
}

/// A row of `airunner keys list`.
#[derive(Debug, Serialize)]
pub(crate) struct KeyRow<'a> {
    id: u64,
    name: &'a str,
    prefix: &'a str,
    scopes: Vec<&'static str>,
    state: &'static str,
    created_at: Option<String>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
}

impl<'a> KeyRow<'a> {
    pub(crate) fn new(key: &'a Key, now: SystemTime) -> Self {
        Self {
            id: key.id.0,
            name: &key.name,
            prefix: &key.prefix,
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            state: key.state(now).as_str(),
            created_at: units::timestamp(key.created_at),
            expires_at: key.expires_at.and_then(units::timestamp),
            last_used_at: key.last_used_at.and_then(units::timestamp),
            revoked_at: key.revoked_at.and_then(units::timestamp),
        }
    }
}

/// `airunner keys create`.
#[derive(Debug, Serialize)]
pub(crate) struct CreatedKeyView<'a> {
    key: &'a str,
    #[serde(flatten)]
    row: KeyRow<'a>,
}

impl<'a> CreatedKeyView<'a> {
    pub(crate) fn new(created: &'a CreatedKey, now: SystemTime) -> Self {
        Self {
            key: created.secret.reveal(),
            row: KeyRow::new(&created.key, now),
        }
    }
}

/// A row of `airunner keys audit`.
#[derive(Debug, Serialize)]
pub(crate) struct AuditRow<'a> {
    at: Option<String>,
    event: &'static str,
    key: Option<&'a str>,
    address: Option<&'a str>,
    detail: &'a str,
}

pub(crate) fn key_rows(keys: &[Key], now: SystemTime) -> Vec<KeyRow<'_>> {
    keys.iter().map(|key| KeyRow::new(key, now)).collect()
}

pub(crate) fn audit_rows<'a>(entries: &'a [AuditEntry]) -> Vec<AuditRow<'a>> {
    let row = |entry: &'a AuditEntry| AuditRow {
        at: units::timestamp(entry.at),
        event: entry.event.as_str(),
        key: entry.key_name.as_deref(),
        address: entry.address.as_deref(),
        detail: &entry.detail,
    };
    entries.iter().map(row).collect()
}

pub(crate) fn keys_table(keys: &[Key], now: SystemTime) -> Table {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("KEY", Align::Left),
        ("SCOPES", Align::Left),
        ("STATE", Align::Left),
        ("EXPIRES", Align::Left),
        ("LAST USED", Align::Left),
    ]);
    for key in keys {
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        table.row([
            key.name.clone(),
            format!("{}...", key.prefix),
            scopes.join(", "),
            key.state(now).as_str().to_owned(),
            key.expires_at
                .map_or_else(|| "never".to_owned(), |at| expiry(at, now)),
            key.last_used_at
                .map_or_else(|| "never".to_owned(), |at| units::since(at, now)),
        ]);
    }
    table
}

fn expiry(at: SystemTime, now: SystemTime) -> String {
    if at > now {
        units::until(at, now)
    } else {
        units::since(at, now)
    }
}

pub(crate) fn audit_table(entries: &[AuditEntry], now: SystemTime) -> Table {
    let mut table = Table::new(&[
        ("WHEN", Align::Left),
        ("WHAT", Align::Left),
        ("KEY", Align::Left),
        ("FROM", Align::Left),
        ("DETAIL", Align::Left),
    ]);
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    for entry in entries {
        table.row([
            units::since(entry.at, now),
            entry.event.as_str().replace('_', " "),
            dash(&entry.key_name),
            dash(&entry.address),
            entry.detail.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use airunner_core::access::{AuditEvent, KeyId, Scope, Secret};
    use serde_json::json;

    use super::super::samples::value;
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn key() -> Key {
        Key {
            id: KeyId(3),
            name: "phone".into(),
            prefix: "air_abcdefgh".into(),
            scopes: vec![Scope::Inference, Scope::Models],
            created_at: at(0),
            expires_at: Some(at(86_400)),
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_key_has_the_fields_of_the_contract() {
        let created = CreatedKey {
            key: key(),
            secret: Secret::new("air_secret".into()),
        };
        assert_eq!(
            value(&CreatedKeyView::new(&created, at(1))),
            json!({
                "key": "air_secret", "id": 3, "name": "phone", "prefix": "air_abcdefgh",
                "scopes": ["inference", "models"], "state": "active", "created_at": "1970-01-01T00:00:00Z",
                "expires_at": "1970-01-02T00:00:00Z", "last_used_at": null, "revoked_at": null
            })
        );
        assert!(value(&key_rows(&[key()], at(1)))[0].get("key").is_none());
    }

    #[test]
    fn people_see_what_a_key_is_for() {
        let (head, rows) = keys_table(&[key()], at(60)).lines();
        assert_eq!(
            head,
            "NAME   KEY              SCOPES             STATE   EXPIRES         LAST USED"
        );
        assert_eq!(
            rows,
            ["phone  air_abcdefgh...  inference, models  active  in 23 h 59 min  never"]
        );
    }

    #[test]
    fn the_audit_log_has_the_fields_of_the_contract() {
        let entry = AuditEntry {
            at: at(0),
            event: AuditEvent::Refused,
            key_name: None,
            address: Some("192.0.2.1".into()),
            detail: "unauthenticated".into(),
        };
        assert_eq!(
            value(&audit_rows(&[entry])),
            json!([{
                "at": "1970-01-01T00:00:00Z", "event": "refused", "key": null, "address": "192.0.2.1",
                "detail": "unauthenticated"
            }])
        );
    }
}
