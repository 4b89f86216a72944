//! Files on their way from a client to the store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use airunner_core::{ErrorKind, Fault};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::handle::{Models, blocking};
use super::store::{Announced, BlobDigest, Store};
use crate::shutdown::Ending;

/// Pieces that may wait to be written.
const CAPACITY: usize = 8;
/// How often files that nobody made a model of are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// A file that is being sent; dropping it leaves nothing of it.
pub struct Upload {
    pieces: mpsc::Sender<Piece>,
    writing: JoinHandle<Result<(), Fault>>,
}

enum Piece {
    Bytes(Vec<u8>),
    End,
}

impl Models {
    /// Whether a file was sent that can be made part of a model.
    pub async fn has_blob(&self, digest: BlobDigest) -> Result<bool, Fault> {
        let store = self.store();
        blocking(move || Ok(store.has_blob(&digest))).await
    }

    /// Begins to take a file.
    #[must_use]
    pub fn upload(&self, announced: Announced) -> Upload {
        let (pieces, received) = mpsc::channel(CAPACITY);
        let store = self.store();
        let writing = tokio::task::spawn_blocking(move || write(&store, announced, received));
        Upload { pieces, writing }
    }

    /// Removes files that were sent and that no model was made of, until the end.
    pub async fn sweep_blobs(self, ending: Ending) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                () = ending.asked() => return,
                _ = ticks.tick() => {}
            }
            let store = self.store();
            match blocking(move || Ok(store.sweep_blobs(SystemTime::now())?)).await {
                Ok(0) => {}
                Ok(files) => tracing::info!(files, "files were removed that no model was made of"),
                Err(fault) => tracing::warn!(reason = %fault.kind, "files that clients sent stay: {fault}"),
            }
        }
    }
}

impl Upload {
    pub async fn write(&mut self, bytes: Vec<u8>) -> Result<(), Fault> {
        self.send(Piece::Bytes(bytes)).await
    }

    /// Returns when the file is here for good.
    pub async fn finish(mut self) -> Result<(), Fault> {
        self.send(Piece::End).await?;
        joined(self.writing.await)
    }

    async fn send(&mut self, piece: Piece) -> Result<(), Fault> {
        if self.pieces.send(piece).await.is_ok() {
            return Ok(());
        }
        // Nobody takes pieces any more: there was an error.
        let ended = joined((&mut self.writing).await);
        ended.and(Err(Fault::internal("the file ended before its end")))
    }
}

fn joined(written: Result<Result<(), Fault>, tokio::task::JoinError>) -> Result<(), Fault> {
    written.unwrap_or_else(|error| Err(Fault::internal(format!("file work failed: {error}"))))
}

fn write(store: &Arc<Store>, announced: Announced, mut pieces: mpsc::Receiver<Piece>) -> Result<(), Fault> {
    let mut receiving = store.receive(announced)?;
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Bytes(bytes) => receiving.write(&bytes)?,
            Piece::End => return Ok(receiving.finish()?),
        }
    }
    Err(Fault::new(
        ErrorKind::Cancelled,
        "the file was not sent to its end",
    ))
}
