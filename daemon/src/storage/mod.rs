//! The database: the only place with SQL.
//!
//! Owns the one connection, its schema and its end; one thread has the connection, and everybody
//! else sends it work. A file per domain holds that domain's statements as functions on
//! [`Storage`]. What is installed is not here: the manifests beside the models say that.

mod audit;
mod conversations;
mod downloads;
mod error;
mod jobs;
mod keys;
mod measurements;
mod migrations;
mod notifications;
mod numbers;
mod open;
mod packages;
mod pause;
mod responses;
mod thread;
mod usage;

#[cfg(test)]
mod tests;

pub use conversations::{Added, ConversationBounds, Viewer};
pub use downloads::{ContentRecord, DownloadFileRecord, DownloadRecord};
pub use keys::KeyRecord;
pub use notifications::NotificationRecord;
pub use responses::{ResponseBounds, ResponseRecord};
pub use thread::Storage;
pub use usage::UsageBatch;

/// Name of the database in the data directory.
pub const FILE_NAME: &str = "airunner.db";
