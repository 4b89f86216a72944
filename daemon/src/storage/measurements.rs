//! What loads really took.

use std::time::Duration;

use airunner_core::Fault;
use airunner_core::hardware::Device;
use airunner_core::usage::{Measurement, MeasurementKey};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::numbers::{duration, milliseconds, moment, signed, time, unsigned};
use super::thread::Storage;

/// Measurements are kept for so long, whether the package is installed or not: it may be fetched
/// again.
const KEPT: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);

const COLUMNS: &str = "digest, variant, context_length, device, runtime, base_bytes, peak_bytes, load_ms, \
                       factor, updated_at_ms";

impl Storage {
    /// Of one package, however it was loaded.
    pub async fn measurements(&self, digest: String) -> Result<Vec<Measurement>, Fault> {
        self.call(move |connection| {
            let mut statement =
                connection.prepare(&format!("SELECT {COLUMNS} FROM measurements WHERE digest = ?1"))?;
            let rows = statement.query_map([digest], read)?;
            rows.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// Takes up what a load took, and answers what is known with it. What nobody has loaded for
    /// years is forgotten.
    pub async fn record_measurement(&self, measurement: Measurement) -> Result<Measurement, Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let merged = match find(&transaction, &measurement.key)? {
                Some(old) => old.merged(&measurement),
                // With itself, so that its figures are within bounds.
                None => measurement.merged(&measurement),
            };
            write(&transaction, &merged)?;
            let forgotten = moment(merged.updated_at).saturating_sub(milliseconds(KEPT));
            transaction.execute("DELETE FROM measurements WHERE updated_at_ms < ?1", [forgotten])?;
            transaction.commit()?;
            Ok(merged)
        })
        .await
    }
}

fn find(connection: &Connection, key: &MeasurementKey) -> rusqlite::Result<Option<Measurement>> {
    let found = connection.query_row(
        &format!(
            "SELECT {COLUMNS} FROM measurements WHERE digest = ?1 AND variant = ?2 AND context_length = ?3 AND \
             device = ?4 AND runtime = ?5"
        ),
        params![
            key.digest,
            key.variant,
            key.context_length,
            key.device.to_string(),
            key.runtime
        ],
        read,
    );
    Ok(found.optional()?.flatten())
}

fn write(connection: &Connection, measurement: &Measurement) -> rusqlite::Result<()> {
    let key = &measurement.key;
    connection.execute(
        &format!(
            "INSERT OR REPLACE INTO measurements ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        ),
        params![
            key.digest,
            key.variant,
            key.context_length,
            key.device.to_string(),
            key.runtime,
            signed(measurement.base_bytes),
            signed(measurement.peak_bytes),
            milliseconds(measurement.load_time),
            measurement.factor,
            moment(measurement.updated_at),
        ],
    )?;
    Ok(())
}

/// `None` for a row of a device this program does not know.
fn read(row: &Row<'_>) -> rusqlite::Result<Option<Measurement>> {
    let device: String = row.get(3)?;
    let Some(device) = Device::parse(&device) else {
        return Ok(None);
    };
    Ok(Some(Measurement {
        key: MeasurementKey {
            digest: row.get(0)?,
            variant: row.get(1)?,
            context_length: row.get(2)?,
            device,
            runtime: row.get(4)?,
        },
        base_bytes: unsigned(row.get(5)?),
        peak_bytes: unsigned(row.get(6)?),
        load_time: duration(row.get(7)?),
        factor: row.get(8)?,
        updated_at: time(row.get(9)?),
    }))
}
