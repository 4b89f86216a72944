//! The pause that is in force.

use airunner_core::Fault;
use airunner_core::pause::Pause;
use rusqlite::{OptionalExtension as _, params};

use super::numbers::{moment, time};
use super::thread::Storage;

impl Storage {
    /// The pause that was kept last, whether or not its time is over.
    pub async fn pause(&self) -> Result<Option<Pause>, Fault> {
        self.call(|connection| {
            let row = connection.query_row("SELECT since_ms, until_ms FROM pause", [], |row| {
                let until: Option<i64> = row.get(1)?;
                Ok(Pause {
                    since: time(row.get(0)?),
                    until: until.map(time),
                })
            });
            row.optional()
        })
        .await
    }

    /// Keeps a pause in place of the one before; `None` keeps none.
    pub async fn keep_pause(&self, pause: Option<Pause>) -> Result<(), Fault> {
        self.call(move |connection| {
            match pause {
                Some(pause) => connection.execute(
                    "INSERT OR REPLACE INTO pause (only, since_ms, until_ms) VALUES (1, ?1, ?2)",
                    params![moment(pause.since), pause.until.map(moment)],
                )?,
                None => connection.execute("DELETE FROM pause", [])?,
            };
            Ok(())
        })
        .await
    }
}
