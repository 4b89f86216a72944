//! What was done with keys and addresses, and who was refused.

use airunner_core::Fault;
use airunner_core::access::{AuditEntry, AuditEvent};
use rusqlite::{Row, params};

use super::numbers::{moment, time};
use super::thread::Storage;

/// Entries kept of refusals, and of everything else: whoever is refused often cannot make the
/// others go.
const KEPT: i64 = 5000;

impl Storage {
    /// Adds entries; the oldest ones go.
    pub async fn record_audit(&self, entries: Vec<AuditEntry>) -> Result<(), Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            for entry in &entries {
                transaction.execute(
                    "INSERT INTO audit (at_ms, event, key_name, address, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        moment(entry.at),
                        entry.event.as_str(),
                        entry.key_name,
                        entry.address,
                        entry.detail
                    ],
                )?;
            }
            let refused = AuditEvent::Refused.as_str();
            transaction.execute(
                "DELETE FROM audit WHERE event = ?1 AND id <= (SELECT id FROM audit WHERE event = ?1 ORDER BY id \
                 DESC LIMIT 1 OFFSET ?2)",
                params![refused, KEPT],
            )?;
            transaction.execute(
                "DELETE FROM audit WHERE event <> ?1 AND id <= (SELECT id FROM audit WHERE event <> ?1 ORDER BY id \
                 DESC LIMIT 1 OFFSET ?2)",
                params![refused, KEPT],
            )?;
            transaction.commit()
        })
        .await
    }

    /// The newest entries, the newest first.
    pub async fn audit(&self, count: u32) -> Result<Vec<AuditEntry>, Fault> {
        self.call(move |connection| {
            let mut statement = connection.prepare(
                "SELECT at_ms, event, key_name, address, detail FROM audit ORDER BY id DESC LIMIT ?1",
            )?;
            let rows = statement.query_map([count], read)?;
            rows.filter_map(Result::transpose).collect()
        })
        .await
    }
}

/// `None` for an event this program does not know.
fn read(row: &Row<'_>) -> rusqlite::Result<Option<AuditEntry>> {
    let event: String = row.get(1)?;
    let Some(event) = AuditEvent::parse(&event) else {
        return Ok(None);
    };
    Ok(Some(AuditEntry {
        at: time(row.get(0)?),
        event,
        key_name: row.get(2)?,
        address: row.get(3)?,
        detail: row.get(4)?,
    }))
}
