//! What loads really took.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use airunner_core::Fault;
use airunner_core::hardware::Device;
use airunner_core::usage::{Measurement, MeasurementKey};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::numbers::{duration, milliseconds, moment, signed, time, unsigned};
use super::thread::Storage;

/// Measurements of packages that are not installed any more are kept for so long: they may be
/// fetched again.
const KEPT: Duration = Duration::from_secs(180 * 24 * 60 * 60);

const COLUMNS: &str = "digest, variant, context_length, device, runtime, base_bytes, peak_bytes, load_ms, \
                       factor, updated_at_ms";

impl Storage {
    /// All, to be asked for once.
    pub async fn measurements(&self) -> Result<Vec<Measurement>, Fault> {
        self.call(|connection| {
            let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM measurements"))?;
            let rows = statement.query_map([], read)?;
            rows.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// Takes up what a load took, and answers what is known with it.
    pub async fn record_measurement(&self, measurement: Measurement) -> Result<Measurement, Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let merged = match find(&transaction, &measurement.key)? {
                Some(old) => old.merged(&measurement),
                // With itself, so that its figures are within bounds.
                None => measurement.merged(&measurement),
            };
            write(&transaction, &merged)?;
            transaction.commit()?;
            Ok(merged)
        })
        .await
    }
}

pub(super) fn prune(
    connection: &Connection,
    known: &HashSet<String>,
    now: SystemTime,
) -> rusqlite::Result<()> {
    let before = moment(now).saturating_sub(milliseconds(KEPT));
    let mut statement =
        connection.prepare("SELECT DISTINCT digest FROM measurements WHERE updated_at_ms < ?1")?;
    let old: Vec<String> = statement
        .query_map([before], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for digest in old.iter().filter(|digest| !known.contains(*digest)) {
        connection.execute(
            "DELETE FROM measurements WHERE digest = ?1 AND updated_at_ms < ?2",
            params![digest, before],
        )?;
    }
    Ok(())
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
