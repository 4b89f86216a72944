//! Opening the database, and leaving it alone if it is not ours to change.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use airunner_platform::files;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::StorageError;
use super::migrations::{APPLICATION, migrate, newest};

/// How long another program that looks into the database may hold it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What every database of SQLite begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// The connection, with the newest schema.
pub(super) fn open(path: &Path) -> Result<Connection, StorageError> {
    let found = if create(path)? { 0 } else { examine(path)? };
    let at = |source| StorageError::Open {
        path: path.to_path_buf(),
        source,
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(at)?;
    configure(&connection).map_err(at)?;
    migrate(&mut connection, path, found)?;
    Ok(connection)
}

/// True if there was none: made here, so that nobody else may ever read it.
fn create(path: &Path) -> Result<bool, StorageError> {
    match files::create_private(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(StorageError::Create {
            path: path.to_path_buf(),
            source,
        }),
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A crash of the program loses nothing; one of the machine the last moments at most.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // What is deleted is overwritten: conversations are nobody else's.
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")
}

/// Another program that holds it has not damaged it.
fn unusable(path: &Path, error: &rusqlite::Error) -> StorageError {
    let path = path.to_path_buf();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StorageError::InUse { path },
        Some(_) | None => StorageError::Damaged {
            path,
            problem: error.to_string(),
        },
    }
}

/// The version of a database that is sound and not newer; without writing to it.
fn examine(path: &Path) -> Result<u32, StorageError> {
    if begins_empty(path)? {
        return Ok(0);
    }
    let damaged = |problem: String| StorageError::Damaged {
        path: path.to_path_buf(),
        problem,
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|source| StorageError::Open {
        path: path.to_path_buf(),
        source,
    })?;
    let look = || -> rusqlite::Result<(u32, i32, u32)> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((version, application, tables))
    };
    let (version, application, tables) = look().map_err(|error| unusable(path, &error))?;
    if application != APPLICATION && (version, tables) != (0, 0) {
        return Err(StorageError::Foreign {
            path: path.to_path_buf(),
        });
    }
    if version > newest() {
        return Err(StorageError::Newer {
            path: path.to_path_buf(),
            found: version,
            known: newest(),
        });
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| unusable(path, &error))?;
    if verdict != "ok" {
        return Err(damaged(verdict));
    }
    Ok(version)
}

/// True for a file without a byte: a start that was ended before the first write.
fn begins_empty(path: &Path) -> Result<bool, StorageError> {
    let unreadable = |source| StorageError::Create {
        path: path.to_path_buf(),
        source,
    };
    let file = fs::metadata(path).map_err(unreadable)?;
    if file.is_file() && file.len() == 0 {
        return Ok(true);
    }
    let mut beginning = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut beginning))
        .map_err(unreadable)?;
    if beginning == MAGIC {
        return Ok(false);
    }
    Err(StorageError::Damaged {
        path: path.to_path_buf(),
        problem: "it is not a database".to_owned(),
    })
}
