//! Answers of the responses API that were asked to be kept.

use std::time::{Duration, SystemTime};

use airunner_core::Fault;
use airunner_core::access::KeyId;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::numbers::{milliseconds, moment, signed, time, unsigned};
use super::thread::Storage;

/// An answer, and what it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseRecord {
    pub id: String,
    /// `None`: the user of this machine.
    pub owner: Option<KeyId>,
    /// The answer before this one.
    pub previous: Option<String>,
    pub created: SystemTime,
    /// The answer as it was told, JSON.
    pub body: String,
    /// What it answered, JSON.
    pub input: String,
}

/// What is kept of one owner at most; the oldest go first, and none that is still being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseBounds {
    pub count: u64,
    pub age: Duration,
    /// Of all bodies and inputs together.
    pub bytes: u64,
}

impl Storage {
    /// Keeps an answer in place of one of the same name, and drops what is too much or too old.
    pub async fn put_response(&self, record: ResponseRecord, bounds: ResponseBounds) -> Result<(), Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let owner = record.owner.map(|owner| signed(owner.0));
            transaction.execute(
                "INSERT OR REPLACE INTO responses (id, owner, previous, created_at_ms, body, input) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    record.id,
                    owner,
                    record.previous,
                    moment(record.created),
                    record.body,
                    record.input,
                ],
            )?;
            prune(&transaction, owner, moment(record.created), bounds)?;
            transaction.commit()
        })
        .await
    }

    /// Changes the answer of one that is kept; one that was dropped stays dropped.
    pub async fn set_response_body(&self, id: String, body: String) -> Result<(), Fault> {
        self.call(move |connection| {
            connection.execute("UPDATE responses SET body = ?2 WHERE id = ?1", [id, body])?;
            Ok(())
        })
        .await
    }

    pub async fn response(&self, id: String) -> Result<Option<ResponseRecord>, Fault> {
        self.call(move |connection| {
            connection
                .query_row(
                    "SELECT id, owner, previous, created_at_ms, body, input FROM responses WHERE id = ?1",
                    [id],
                    read,
                )
                .optional()
        })
        .await
    }

    /// True if there was one.
    pub async fn remove_response(&self, id: String) -> Result<bool, Fault> {
        self.call(move |connection| Ok(connection.execute("DELETE FROM responses WHERE id = ?1", [id])? > 0))
            .await
    }
}

fn prune(
    connection: &Connection,
    owner: Option<i64>,
    now: i64,
    bounds: ResponseBounds,
) -> rusqlite::Result<()> {
    // What a daemon that died did not bring to its end goes by its age, too.
    connection.execute(
        "DELETE FROM responses WHERE created_at_ms < ?1",
        [now.saturating_sub(milliseconds(bounds.age))],
    )?;
    // The newest is kept whatever its size.
    connection.execute(
        "DELETE FROM responses WHERE id IN (SELECT id FROM (\
         SELECT id, row_number() OVER newest AS place, \
         sum(octet_length(body) + octet_length(input)) OVER newest AS bytes \
         FROM responses WHERE owner IS ?3 WINDOW newest AS (ORDER BY created_at_ms DESC, rowid DESC \
         ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) \
         WHERE place > 1 AND (place > ?1 OR bytes > ?2)) \
         AND NOT (json_valid(body) AND coalesce(json_extract(body, '$.status'), '') \
         IN ('queued', 'in_progress'))",
        params![signed(bounds.count), signed(bounds.bytes), owner],
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<ResponseRecord> {
    Ok(ResponseRecord {
        id: row.get(0)?,
        owner: row.get::<_, Option<i64>>(1)?.map(|owner| KeyId(unsigned(owner))),
        previous: row.get(2)?,
        created: time(row.get(3)?),
        body: row.get(4)?,
        input: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const BOUNDS: ResponseBounds = ResponseBounds {
        count: 3,
        age: Duration::from_secs(100),
        bytes: 60,
    };

    fn record(id: &str, second: u64, bytes: usize) -> ResponseRecord {
        ResponseRecord {
            id: id.to_owned(),
            owner: Some(KeyId(7)),
            previous: None,
            created: UNIX_EPOCH + Duration::from_secs(second),
            body: "b".repeat(bytes),
            input: "[]".to_owned(),
        }
    }

    async fn kept(records: Vec<ResponseRecord>) -> Vec<String> {
        let home = tempfile::tempdir().unwrap();
        let storage = Storage::open(&home.path().join("airunner.db")).unwrap();
        let names: Vec<String> = records.iter().map(|record| record.id.clone()).collect();
        for record in records {
            storage.put_response(record, BOUNDS).await.unwrap();
        }
        let mut kept = Vec::new();
        for name in names {
            kept.extend(storage.response(name).await.unwrap().map(|record| record.id));
        }
        kept
    }

    #[tokio::test]
    async fn a_record_reads_back_changes_and_goes() {
        let home = tempfile::tempdir().unwrap();
        let storage = Storage::open(&home.path().join("airunner.db")).unwrap();
        storage.put_response(record("a", 5, 3), BOUNDS).await.unwrap();
        storage.set_response_body("a".into(), "new".into()).await.unwrap();
        storage.set_response_body("b".into(), "new".into()).await.unwrap();
        let expected = ResponseRecord {
            body: "new".to_owned(),
            ..record("a", 5, 3)
        };
        assert_eq!(storage.response("a".into()).await.unwrap(), Some(expected));
        assert_eq!(storage.response("b".into()).await.unwrap(), None);
        assert!(storage.remove_response("a".into()).await.unwrap());
        assert!(!storage.remove_response("a".into()).await.unwrap());
    }

    #[tokio::test]
    async fn the_oldest_go_when_there_are_too_many_or_they_are_too_large_or_too_old() {
        let many = (0..5).map(|n| record(&n.to_string(), n, 1)).collect();
        assert_eq!(kept(many).await, ["2", "3", "4"]);
        let large = vec![record("a", 1, 30), record("b", 2, 30), record("c", 3, 20)];
        assert_eq!(kept(large).await, ["b", "c"]);
        let huge = vec![record("a", 1, 1), record("b", 2, 500)];
        assert_eq!(kept(huge).await, ["b"]);
        let old = vec![record("a", 1, 1), record("b", 200, 1)];
        assert_eq!(kept(old).await, ["b"]);
    }

    #[tokio::test]
    async fn nobody_drives_out_what_belongs_to_others_or_is_being_made() {
        let open = ResponseRecord {
            body: r#"{"status":"in_progress"}"#.to_owned(),
            ..record("open", 2, 0)
        };
        let other = ResponseRecord {
            owner: None,
            ..record("other", 1, 1)
        };
        let mut records = vec![other, open];
        records.extend((3..8).map(|n| record(&n.to_string(), n, 1)));
        assert_eq!(kept(records).await, ["other", "open", "5", "6", "7"]);
    }
}
