//! The schema, version by version.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::StorageError;

/// What leads from each version to the next: number `n` makes version `n` out of `n - 1`. A text
/// that was ever released is never changed; what is to be different is another text at the end,
/// beside a database of the version before it in `testdata/`.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
    include_str!("migrations/4.sql"),
    include_str!("migrations/5.sql"),
];

/// Says whose file it is: "AIRN".
pub(super) const APPLICATION: i32 = 0x4149_524e;

/// The version this program makes.
pub(super) fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Brings a database of version `found` to the newest, each step completely or not at all.
pub(super) fn migrate(connection: &mut Connection, path: &Path, found: u32) -> Result<(), StorageError> {
    for (version, text) in (1..).zip(MIGRATIONS).skip(found as usize) {
        step(connection, version, text).map_err(|source| StorageError::Migrate {
            path: path.to_path_buf(),
            version,
            source,
        })?;
        tracing::info!(version, "the database was brought to this version");
    }
    Ok(())
}

fn step(connection: &mut Connection, version: u32, text: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(text)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}
