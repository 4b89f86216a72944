//! Fetches from a hub, and which parts of which contents are on the disk.

use std::collections::HashSet;
use std::time::SystemTime;

use airunner_core::download::{DownloadId, DownloadState};
use airunner_core::memory::Quantization;
use airunner_core::{ErrorKind, Fault, ModelName};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::numbers::{moment, signed, time, unsigned};
use super::thread::Storage;

/// Fetches that are over and still listed.
const KEPT: i64 = 20;

/// One fetch.
#[derive(Clone, Debug, PartialEq)]
pub struct DownloadRecord {
    pub id: DownloadId,
    pub name: ModelName,
    pub repository: String,
    /// As it was asked for.
    pub revision: String,
    /// Precision that was asked for.
    pub wish: Option<Quantization>,
    /// Set once the hub was asked.
    pub commit: Option<String>,
    pub level: Option<Quantization>,
    /// What the names of its files begin with in the repository.
    pub directory: String,
    pub state: DownloadState,
    pub fault: Option<Fault>,
    pub total_bytes: u64,
    pub started_at: SystemTime,
}

/// One file of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadFileRecord {
    /// Relative to the repository.
    pub path: String,
    pub digest: String,
    pub size: u64,
}

/// How much of some content is on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentRecord {
    /// A bit per chunk.
    pub chunks: Vec<u8>,
    /// Set when all of it is here and was checked.
    pub sha256: Option<String>,
    pub refetched: bool,
}

impl Storage {
    /// Every fetch, the oldest first.
    pub async fn downloads(&self) -> Result<Vec<DownloadRecord>, Fault> {
        self.call(|connection| {
            let mut statement = connection.prepare(
                "SELECT id, name, repository, revision, wish, commit_id, level, directory, state, fault_reason,
                        fault_message, total_bytes, started_at_ms
                 FROM downloads ORDER BY id",
            )?;
            let rows = statement.query_map([], read)?;
            rows.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// Writes down a fetch and numbers it; what `record` says of its number is not looked at.
    /// Fetches that were over long ago are forgotten.
    pub async fn add_download(&self, record: DownloadRecord) -> Result<DownloadId, Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO downloads (name, repository, revision, wish, state, total_bytes, started_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
                params![
                    record.name.as_str(),
                    record.repository,
                    record.revision,
                    record.wish.map(Quantization::as_str),
                    record.state.as_str(),
                    moment(record.started_at),
                ],
            )?;
            let id = DownloadId(unsigned(transaction.last_insert_rowid()));
            transaction.execute(
                "DELETE FROM downloads WHERE state IN ('done', 'cancelled') AND id NOT IN
                     (SELECT id FROM downloads WHERE state IN ('done', 'cancelled') ORDER BY id DESC LIMIT ?1)",
                [KEPT],
            )?;
            transaction.commit()?;
            Ok(id)
        })
        .await
    }

    pub async fn set_download_state(
        &self,
        id: DownloadId,
        state: DownloadState,
        fault: Option<Fault>,
    ) -> Result<(), Fault> {
        self.call(move |connection| {
            connection.execute(
                "UPDATE downloads SET state = ?2, fault_reason = ?3, fault_message = ?4 WHERE id = ?1",
                params![
                    signed(id.0),
                    state.as_str(),
                    fault.as_ref().map(|fault| fault.kind.reason()),
                    fault.as_ref().map(|fault| &fault.message),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// What the hub said: commit, level, directory and size of `record`, and these files.
    pub async fn set_download_plan(
        &self,
        record: DownloadRecord,
        files: Vec<DownloadFileRecord>,
    ) -> Result<(), Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "UPDATE downloads SET commit_id = ?2, level = ?3, directory = ?4, total_bytes = ?5 WHERE id = ?1",
                params![
                    signed(record.id.0),
                    record.commit,
                    record.level.map(Quantization::as_str),
                    record.directory,
                    signed(record.total_bytes),
                ],
            )?;
            transaction.execute(
                "DELETE FROM download_files WHERE download = ?1",
                [signed(record.id.0)],
            )?;
            for file in files {
                transaction.execute(
                    "INSERT INTO download_files (download, path, digest, size) VALUES (?1, ?2, ?3, ?4)",
                    params![signed(record.id.0), file.path, file.digest, signed(file.size)],
                )?;
            }
            transaction.commit()
        })
        .await
    }

    /// In the order of their paths; none before the hub was asked.
    pub async fn download_files(&self, id: DownloadId) -> Result<Vec<DownloadFileRecord>, Fault> {
        self.call(move |connection| {
            let mut statement = connection
                .prepare("SELECT path, digest, size FROM download_files WHERE download = ?1 ORDER BY path")?;
            statement
                .query_map([signed(id.0)], |row| {
                    Ok(DownloadFileRecord {
                        path: row.get(0)?,
                        digest: row.get(1)?,
                        size: unsigned(row.get(2)?),
                    })
                })?
                .collect()
        })
        .await
    }

    /// Forgets the files of a fetch that is over, or all of the fetch.
    pub async fn end_download(&self, id: DownloadId, forget: bool) -> Result<(), Fault> {
        let statement = if forget {
            "DELETE FROM downloads WHERE id = ?1"
        } else {
            "DELETE FROM download_files WHERE download = ?1"
        };
        self.call(move |connection| {
            connection.execute(statement, [signed(id.0)])?;
            Ok(())
        })
        .await
    }

    pub async fn content(&self, digest: String) -> Result<ContentRecord, Fault> {
        self.call(move |connection| {
            let found = connection
                .query_row(
                    "SELECT chunks, sha256, refetched FROM download_contents WHERE digest = ?1",
                    [digest],
                    |row| {
                        Ok(ContentRecord {
                            chunks: row.get(0)?,
                            sha256: row.get(1)?,
                            refetched: row.get(2)?,
                        })
                    },
                )
                .optional()?;
            Ok(found.unwrap_or_default())
        })
        .await
    }

    pub async fn put_content(&self, digest: String, record: ContentRecord) -> Result<(), Fault> {
        self.call(move |connection| {
            connection.execute(
                "INSERT OR REPLACE INTO download_contents (digest, chunks, sha256, refetched)
                 VALUES (?1, ?2, ?3, ?4)",
                params![digest, record.chunks, record.sha256, record.refetched],
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets some content unless a fetch wants it; true if none does.
    pub async fn release_content(&self, digest: String) -> Result<bool, Fault> {
        self.call(move |connection| {
            let wanted: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM download_files WHERE digest = ?1)",
                [&digest],
                |row| row.get(0),
            )?;
            if !wanted {
                connection.execute("DELETE FROM download_contents WHERE digest = ?1", [&digest])?;
            }
            Ok(!wanted)
        })
        .await
    }

    /// Forgets contents that no fetch wants, and names those that are wanted.
    pub async fn prune_contents(&self) -> Result<HashSet<String>, Fault> {
        self.call(|connection| {
            connection.execute(
                "DELETE FROM download_contents WHERE digest NOT IN (SELECT digest FROM download_files)",
                [],
            )?;
            wanted(connection)
        })
        .await
    }
}

fn wanted(connection: &Connection) -> rusqlite::Result<HashSet<String>> {
    connection
        .prepare("SELECT DISTINCT digest FROM download_files")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// `None` if it is not what this program writes.
fn read(row: &Row<'_>) -> rusqlite::Result<Option<DownloadRecord>> {
    let text = |index: usize| row.get::<_, Option<String>>(index);
    let level = |index: usize| text(index).map(|text| text.and_then(|text| Quantization::parse(&text)));
    let (name, state): (String, String) = (row.get(1)?, row.get(8)?);
    let (Ok(name), Some(state)) = (ModelName::new(&name), DownloadState::parse(&state)) else {
        return Ok(None);
    };
    let fault = text(9)?.zip(text(10)?).map(|(reason, message)| {
        Fault::new(
            ErrorKind::from_reason(&reason).unwrap_or(ErrorKind::Internal),
            message,
        )
    });
    Ok(Some(DownloadRecord {
        id: DownloadId(unsigned(row.get(0)?)),
        name,
        repository: row.get(2)?,
        revision: row.get(3)?,
        wish: level(4)?,
        commit: text(5)?,
        level: level(6)?,
        directory: text(7)?.unwrap_or_default(),
        state,
        fault,
        total_bytes: unsigned(row.get(11)?),
        started_at: time(row.get(12)?),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> DownloadRecord {
        DownloadRecord {
            id: DownloadId(0),
            name: ModelName::new(name).unwrap(),
            repository: "team/tiny".to_owned(),
            revision: "main".to_owned(),
            wish: Some(Quantization::Int4),
            commit: None,
            level: None,
            directory: String::new(),
            state: DownloadState::Queued,
            fault: None,
            total_bytes: 0,
            started_at: time(1_700_000_000_000),
        }
    }

    fn file(path: &str, digest: &str) -> DownloadFileRecord {
        DownloadFileRecord {
            path: path.to_owned(),
            digest: digest.to_owned(),
            size: 5,
        }
    }

    fn open() -> (tempfile::TempDir, Storage) {
        let home = tempfile::tempdir().unwrap();
        let storage = Storage::open(&home.path().join("x.db")).unwrap();
        (home, storage)
    }

    #[tokio::test]
    async fn a_fetch_reads_back_as_it_was_written() {
        let (_home, storage) = open();
        let mut written = record("team/tiny");
        written.id = storage.add_download(written.clone()).await.unwrap();
        assert_eq!(storage.downloads().await.unwrap(), [written.clone()]);
        written.commit = Some("0123".to_owned());
        written.level = Some(Quantization::Int8);
        written.directory = "cpu/".to_owned();
        written.total_bytes = 10;
        written.state = DownloadState::Failed;
        written.fault = Some(Fault::new(ErrorKind::DiskFull, "full"));
        let files = vec![file("a", "sha256-1"), file("b", "sha256-2")];
        storage
            .set_download_plan(written.clone(), files.clone())
            .await
            .unwrap();
        let fault = written.fault.clone();
        storage
            .set_download_state(written.id, DownloadState::Failed, fault)
            .await
            .unwrap();
        assert_eq!(storage.downloads().await.unwrap(), [written.clone()]);
        assert_eq!(storage.download_files(written.id).await.unwrap(), files);
    }

    #[tokio::test]
    async fn contents_live_as_long_as_somebody_wants_them() {
        let (_home, storage) = open();
        let one = storage.add_download(record("one")).await.unwrap();
        let two = storage.add_download(record("two")).await.unwrap();
        for (id, digests) in [(one, ["x", "shared"]), (two, ["y", "shared"])] {
            let files = digests.iter().map(|digest| file(digest, digest)).collect();
            let record = DownloadRecord { id, ..record("any") };
            storage.set_download_plan(record, files).await.unwrap();
        }
        let half = ContentRecord {
            chunks: vec![0b101],
            sha256: None,
            refetched: true,
        };
        for digest in ["x", "y", "shared"] {
            storage
                .put_content(digest.to_owned(), half.clone())
                .await
                .unwrap();
        }
        assert_eq!(storage.content("shared".to_owned()).await.unwrap(), half);
        storage.end_download(one, true).await.unwrap();
        assert!(!storage.release_content("shared".to_owned()).await.unwrap());
        assert!(storage.release_content("x".to_owned()).await.unwrap());
        let wanted = storage.prune_contents().await.unwrap();
        assert_eq!(wanted, HashSet::from(["y".to_owned(), "shared".to_owned()]));
        assert_eq!(
            storage.content("x".to_owned()).await.unwrap(),
            ContentRecord::default()
        );
        assert_eq!(storage.content("shared".to_owned()).await.unwrap(), half);
    }

    #[tokio::test]
    async fn what_was_over_long_ago_is_forgotten() {
        let (_home, storage) = open();
        let first = storage.add_download(record("kept")).await.unwrap();
        for number in 0..30 {
            let id = storage.add_download(record(&format!("m{number}"))).await.unwrap();
            storage
                .set_download_state(id, DownloadState::Done, None)
                .await
                .unwrap();
        }
        let left = storage.downloads().await.unwrap();
        assert!(left.len() <= 22, "{}", left.len());
        assert_eq!(left[0].id, first, "what is not over stays");
    }
}
