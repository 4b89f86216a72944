//! The thread that has the connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;

use airunner_core::Fault;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::error::StorageError;
use super::open::open;

/// Pieces of work that may wait; who comes later waits to be let in.
const WAITING: usize = 256;

/// The way to the database.
#[derive(Clone, Debug)]
pub struct Storage {
    sender: mpsc::Sender<Message>,
}

enum Message {
    Work(Box<dyn FnOnce(&mut Connection) + Send>),
    Close(oneshot::Sender<()>),
}

impl Storage {
    /// Opens the database, or makes it, and brings it to this program's version. A database that
    /// is newer or damaged is left as it is and reported. Takes a moment: call it where that is
    /// no harm.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let connection = open(path)?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let path = path.to_path_buf();
        thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || serve(connection, receiver, &path))
            .map_err(StorageError::Thread)?;
        Ok(Self { sender })
    }

    /// Runs work on the connection, in the order of the calls. Work that began is finished even
    /// if the caller is gone.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        let work = Message::Work(Box::new(move |connection| {
            let result = catch_unwind(AssertUnwindSafe(|| work(connection)));
            let result = match result {
                Ok(result) => result.map_err(StorageError::Work),
                Err(_) => Err(StorageError::Panicked),
            };
            // A caller that is gone wants no answer.
            drop(reply.send(result));
        }));
        self.sender.send(work).await.map_err(|_| StorageError::Closed)?;
        Ok(answer.await.map_err(|_| StorageError::Closed)??)
    }

    /// Finishes what was asked for before, and closes the database. Later calls are refused.
    pub async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.sender.send(Message::Close(reply)).await.is_ok() {
            // Without an answer it was closed by somebody else.
            drop(closed.await);
        }
    }
}

fn serve(mut connection: Connection, mut receiver: mpsc::Receiver<Message>, path: &Path) {
    let mut closing = None;
    while let Some(message) = receiver.blocking_recv() {
        match message {
            Message::Work(work) => work(&mut connection),
            Message::Close(reply) => {
                closing = Some(reply);
                break;
            }
        }
    }
    receiver.close();
    end(connection, path);
    drop(closing);
}

/// Everything into the one file, so that it can be copied.
fn end(connection: Connection, path: &Path) {
    let folded = connection
        .execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);")
        .and_then(|()| connection.close().map_err(|(_, error)| error));
    if let Err(error) = folded {
        tracing::warn!(path = %path.display(), %error, "the database could not be closed in good order");
    }
}
