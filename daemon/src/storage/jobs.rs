//! Jobs: what was asked, how far it is, what came of it.

use std::time::SystemTime;

use airunner_core::access::KeyId;
use airunner_core::conversation::{Listing, Page};
use airunner_core::job::{Job, JobId, JobState};
use airunner_core::{ErrorKind, Fault};
use rusqlite::{OptionalExtension as _, Row, params};
use serde_json::Value;

use super::conversations::Viewer;
use super::numbers::{moment, signed, time, unsigned};
use super::thread::Storage;

const JOB: &str = "SELECT id, owner, kind, state, request, result, progress, fault_reason, fault_message,
    created_at_ms, updated_at_ms, expires_at_ms FROM jobs";

const SHOWN: &str = "(?1 OR owner IS ?2) AND (expires_at_ms IS NULL OR expires_at_ms > ?3)";

impl Storage {
    /// Writes down a job that waits for its turn, and names it.
    pub async fn add_job(
        &self,
        owner: Option<KeyId>,
        kind: String,
        request: Value,
        at: SystemTime,
    ) -> Result<Job, Fault> {
        self.call(move |connection| {
            let id = connection.query_row(
                "INSERT INTO jobs (id, owner, kind, state, request, created_at_ms, updated_at_ms)
                 VALUES ('job_' || lower(hex(randomblob(12))), ?1, ?2, ?3, ?4, ?5, ?5) RETURNING id",
                params![
                    owner.map(|key| signed(key.0)),
                    kind,
                    JobState::Pending.as_str(),
                    request.to_string(),
                    moment(at)
                ],
                |row| row.get(0),
            )?;
            Ok(Job {
                id: JobId(id),
                owner,
                kind,
                state: JobState::Pending,
                request,
                result: None,
                progress: 0.0,
                fault: None,
                // As it will be read back.
                created_at: time(moment(at)),
                updated_at: time(moment(at)),
                expires_at: None,
            })
        })
        .await
    }

    /// Writes down how a job is.
    pub async fn put_job(&self, job: Job) -> Result<(), Fault> {
        self.call(move |connection| {
            connection.execute(
                "UPDATE jobs SET state = ?2, result = ?3, progress = ?4, fault_reason = ?5, fault_message = ?6,
                     updated_at_ms = ?7, expires_at_ms = ?8 WHERE id = ?1",
                params![
                    job.id.0,
                    job.state.as_str(),
                    job.result.as_ref().map(Value::to_string),
                    job.progress,
                    job.fault.as_ref().map(|fault| fault.kind.reason()),
                    job.fault.as_ref().map(|fault| &fault.message),
                    moment(job.updated_at),
                    job.expires_at.map(moment),
                ],
            )?;
            Ok(())
        })
        .await
    }

    pub async fn job(&self, id: JobId) -> Result<Option<Job>, Fault> {
        self.call(move |connection| {
            let found = connection
                .query_row(&format!("{JOB} WHERE id = ?1"), [id.0], read)
                .optional()?;
            Ok(found.flatten())
        })
        .await
    }

    /// The newest first, without those whose time is over.
    pub async fn jobs(&self, viewer: Viewer, page: Page, now: SystemTime) -> Result<Listing<Job>, Fault> {
        self.call(move |connection| {
            let owner = viewer.key.map(|key| signed(key.0));
            let total = connection.query_row(
                &format!("SELECT count(*) FROM jobs WHERE {SHOWN}"),
                params![viewer.everything, owner, moment(now)],
                |row| row.get(0),
            )?;
            let items = connection
                .prepare(&format!(
                    "{JOB} WHERE {SHOWN} ORDER BY created_at_ms DESC, id LIMIT ?4 OFFSET ?5"
                ))?
                .query_map(
                    params![viewer.everything, owner, moment(now), page.limit(), page.offset()],
                    read,
                )?
                .filter_map(Result::transpose)
                .collect::<rusqlite::Result<_>>()?;
            Ok(Listing {
                items,
                total: unsigned(total),
            })
        })
        .await
    }

    /// Those an earlier daemon did not bring to their end, the oldest first.
    pub async fn unfinished_jobs(&self) -> Result<Vec<Job>, Fault> {
        self.call(|connection| {
            connection
                .prepare(&format!(
                    "{JOB} WHERE state IN ('pending', 'running') ORDER BY created_at_ms, id"
                ))?
                .query_map([], read)?
                .filter_map(Result::transpose)
                .collect()
        })
        .await
    }

    /// False if there is none of that name.
    pub async fn delete_job(&self, id: JobId) -> Result<bool, Fault> {
        self.call(move |connection| Ok(connection.execute("DELETE FROM jobs WHERE id = ?1", [id.0])? > 0))
            .await
    }

    /// Forgets what has expired, and of what is over the oldest beyond so many.
    pub async fn prune_jobs(&self, now: SystemTime, kept: u32) -> Result<(), Fault> {
        self.call(move |connection| {
            connection.execute("DELETE FROM jobs WHERE expires_at_ms <= ?1", [moment(now)])?;
            connection.execute(
                "DELETE FROM jobs WHERE expires_at_ms IS NOT NULL AND id NOT IN
                     (SELECT id FROM jobs WHERE expires_at_ms IS NOT NULL
                      ORDER BY updated_at_ms DESC, id LIMIT ?1)",
                [kept],
            )?;
            Ok(())
        })
        .await
    }
}

/// `None` if it is not what this program writes.
fn read(row: &Row<'_>) -> rusqlite::Result<Option<Job>> {
    let state: String = row.get(3)?;
    let (request, result): (String, Option<String>) = (row.get(4)?, row.get(5)?);
    let (Some(state), Ok(request)) = (JobState::parse(&state), serde_json::from_str(&request)) else {
        return Ok(None);
    };
    let owner: Option<i64> = row.get(1)?;
    let (reason, message): (Option<String>, Option<String>) = (row.get(7)?, row.get(8)?);
    let fault = reason.zip(message).map(|(reason, message)| {
        Fault::new(
            ErrorKind::from_reason(&reason).unwrap_or(ErrorKind::Internal),
            message,
        )
    });
    let expires: Option<i64> = row.get(11)?;
    Ok(Some(Job {
        id: JobId(row.get(0)?),
        owner: owner.map(|key| KeyId(unsigned(key))),
        kind: row.get(2)?,
        state,
        request,
        result: result.and_then(|text| serde_json::from_str(&text).ok()),
        progress: row.get(6)?,
        fault,
        created_at: time(row.get(9)?),
        updated_at: time(row.get(10)?),
        expires_at: expires.map(time),
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    fn open() -> (tempfile::TempDir, Storage) {
        let home = tempfile::tempdir().unwrap();
        let storage = Storage::open(&home.path().join("x.db")).unwrap();
        (home, storage)
    }

    #[tokio::test]
    async fn a_job_reads_back_as_it_was_written() {
        let (_home, storage) = open();
        let add = async |owner, kind: &str, seconds| {
            storage
                .add_job(owner, kind.to_owned(), json!({"n": seconds}), at(seconds))
                .await
                .unwrap()
        };
        let first = add(None, "pull", 1).await;
        let mut job = add(Some(KeyId(4)), "verify", 2).await;
        assert_ne!(first.id, job.id);
        assert_eq!(storage.job(job.id.clone()).await.unwrap().as_ref(), Some(&job));
        assert_eq!(
            storage.unfinished_jobs().await.unwrap(),
            [first.clone(), job.clone()]
        );
        job.state = JobState::Failed;
        job.result = Some(json!([1, 2]));
        job.progress = 0.25;
        job.fault = Some(Fault::new(ErrorKind::DiskFull, "full"));
        job.expires_at = Some(at(100));
        storage.put_job(job.clone()).await.unwrap();
        assert_eq!(storage.job(job.id.clone()).await.unwrap().as_ref(), Some(&job));
        assert_eq!(
            storage.unfinished_jobs().await.unwrap(),
            std::slice::from_ref(&first)
        );
        let four = Viewer {
            key: Some(KeyId(4)),
            everything: false,
        };
        let page = Page::new(None, None).unwrap();
        let listed = storage.jobs(four, page, at(99)).await.unwrap();
        assert_eq!((listed.total, listed.items), (1, vec![job.clone()]));
        let listed = storage.jobs(four, page, at(100)).await.unwrap();
        assert_eq!((listed.total, listed.items), (0, vec![]), "its time is over");
        assert!(storage.delete_job(first.id.clone()).await.unwrap());
        assert!(!storage.delete_job(first.id).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_over_is_forgotten_in_time_and_when_there_is_too_much() {
        let (_home, storage) = open();
        let mut ids = Vec::new();
        for number in 0..5 {
            let mut job = storage
                .add_job(None, "pull".to_owned(), json!({}), at(number))
                .await
                .unwrap();
            if number > 0 {
                job.state = JobState::Completed;
                job.updated_at = at(number);
                job.expires_at = Some(at(100 + number));
                storage.put_job(job.clone()).await.unwrap();
            }
            ids.push(job.id);
        }
        storage.prune_jobs(at(101), 2).await.unwrap();
        let mut left = Vec::new();
        for id in ids {
            left.push(storage.job(id).await.unwrap().is_some());
        }
        assert_eq!(left, [true, false, false, true, true], "what is not over stays");
    }
}
