//! Keys of the HTTP API: what they begin with and their SHA-256, never a key.

use std::time::SystemTime;

use airunner_core::access::{Key, KeyId, Scope};
use airunner_core::{ErrorKind, Fault};
use rusqlite::{Connection, Row, params};

use super::numbers::{moment, signed, time, unsigned};
use super::thread::Storage;

/// Keys in use at once.
const IN_USE_MAX: i64 = 1000;
/// Revoked ones that are still listed.
const REVOKED_MAX: i64 = 1000;

const COLUMNS: &str =
    "id, name, prefix, hash, scopes, created_at_ms, expires_at_ms, last_used_at_ms, revoked_at_ms";

/// A key, and how it is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    pub key: Key,
    /// SHA-256.
    pub hash: [u8; 32],
}

impl Storage {
    /// Every key, also revoked ones, in the order in which they were made.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, Fault> {
        self.call(|connection| {
            let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM keys ORDER BY id"))?;
            let rows = statement.query_map([], read)?;
            rows.collect()
        })
        .await
    }

    /// Keeps a key, whose number is given here.
    pub async fn insert_key(&self, mut record: KeyRecord) -> Result<KeyRecord, Fault> {
        let name = record.key.name.clone();
        let kept = self
            .call(move |connection| {
                let transaction = connection.transaction()?;
                if let Some(why) = hindrance(&transaction, &record.key.name)? {
                    return Ok(Err(why));
                }
                record.key.id = insert(&transaction, &record)?;
                transaction.commit()?;
                Ok(Ok(record))
            })
            .await?;
        kept.map_err(|why| match why {
            Hindrance::Name => Fault::new(
                ErrorKind::AlreadyExists,
                format!("a key is called {name}: choose another name, or revoke it"),
            ),
            Hindrance::Count => Fault::new(
                ErrorKind::Busy,
                format!("there are {IN_USE_MAX} keys: revoke one that is not needed"),
            ),
        })
    }

    /// From then on the key is good for nothing.
    pub async fn revoke_key(&self, id: KeyId, at: SystemTime) -> Result<(), Fault> {
        self.call(move |connection| {
            connection.execute(
                "UPDATE keys SET revoked_at_ms = ?2 WHERE id = ?1 AND revoked_at_ms IS NULL",
                params![signed(id.0), moment(at)],
            )?;
            connection.execute(
                "DELETE FROM keys WHERE revoked_at_ms IS NOT NULL AND id NOT IN (SELECT id FROM keys WHERE \
                 revoked_at_ms IS NOT NULL ORDER BY revoked_at_ms DESC, id DESC LIMIT ?1)",
                [REVOKED_MAX],
            )?;
            Ok(())
        })
        .await
    }

    /// When keys were used last.
    pub async fn note_key_use(&self, uses: Vec<(KeyId, SystemTime)>) -> Result<(), Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            for (id, at) in uses {
                transaction.execute(
                    "UPDATE keys SET last_used_at_ms = ?2 WHERE id = ?1",
                    params![signed(id.0), moment(at)],
                )?;
            }
            transaction.commit()
        })
        .await
    }
}

enum Hindrance {
    Name,
    Count,
}

fn hindrance(connection: &Connection, name: &str) -> rusqlite::Result<Option<Hindrance>> {
    let (count, same): (i64, i64) = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE name = ?1) FROM keys WHERE revoked_at_ms IS NULL",
        [name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(if same > 0 {
        Some(Hindrance::Name)
    } else if count >= IN_USE_MAX {
        Some(Hindrance::Count)
    } else {
        None
    })
}

fn insert(connection: &Connection, record: &KeyRecord) -> rusqlite::Result<KeyId> {
    let key = &record.key;
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    connection.execute(
        "INSERT INTO keys (name, prefix, hash, scopes, created_at_ms, expires_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            key.name,
            key.prefix,
            record.hash,
            scopes.join(","),
            moment(key.created_at),
            key.expires_at.map(moment),
        ],
    )?;
    Ok(KeyId(unsigned(connection.last_insert_rowid())))
}

/// A right that this program does not know gives none.
fn read(row: &Row<'_>) -> rusqlite::Result<KeyRecord> {
    let scopes: String = row.get(4)?;
    let at =
        |index| -> rusqlite::Result<Option<SystemTime>> { Ok(row.get::<_, Option<i64>>(index)?.map(time)) };
    Ok(KeyRecord {
        key: Key {
            id: KeyId(unsigned(row.get(0)?)),
            name: row.get(1)?,
            prefix: row.get(2)?,
            scopes: scopes.split(',').filter_map(Scope::parse).collect(),
            created_at: time(row.get(5)?),
            expires_at: at(6)?,
            last_used_at: at(7)?,
            revoked_at: at(8)?,
        },
        hash: row.get(3)?,
    })
}
