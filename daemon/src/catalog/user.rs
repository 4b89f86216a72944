//! The user's own list.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use airunner_core::catalog::CatalogEntry;
use airunner_core::error;
use tokio::sync::watch;

use super::error::CatalogError;
use super::read::{Listing, Reading, read};

const MAX_BYTES: u64 = 1 << 20;

/// Reads the file again when it has changed, and only then.
#[derive(Debug)]
pub(super) struct UserList {
    path: PathBuf,
    context: u32,
    /// As it was read last.
    last: watch::Sender<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// `None` before the first look.
    stamp: Option<Stamp>,
    entries: Arc<Vec<CatalogEntry>>,
}

/// What tells one state of the file from another; empty if there is no file.
type Stamp = Option<(SystemTime, u64)>;

impl UserList {
    pub(super) fn new(path: PathBuf, context: u32) -> Self {
        Self {
            path,
            context,
            last: watch::Sender::new(State::default()),
        }
    }

    /// As the file is, without what is wrong in it, which is logged once.
    pub(super) fn entries(&self) -> Arc<Vec<CatalogEntry>> {
        let stamp = stamp(&self.path);
        {
            let last = self.last.borrow();
            if last.stamp == Some(stamp) {
                return Arc::clone(&last.entries);
            }
        }
        let listing = match stamp {
            None => Listing::default(),
            Some(_) => self.read(),
        };
        for problem in &listing.problems {
            tracing::warn!("the list of models has an error: {}", error::chain(problem));
        }
        let entries = Arc::new(listing.entries);
        self.last.send_replace(State {
            stamp: Some(stamp),
            entries: Arc::clone(&entries),
        });
        entries
    }

    pub(super) fn read(&self) -> Listing {
        let reading = Reading {
            path: &self.path,
            from_user: true,
            context: self.context,
        };
        match text(&self.path) {
            Ok(text) => read(&text, reading),
            Err(problem) => Listing {
                entries: Vec::new(),
                problems: vec![problem],
            },
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn text(path: &Path) -> Result<String, CatalogError> {
    let unreadable = |source: io::Error| CatalogError::Read {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(CatalogError::TooLong {
            path: path.to_path_buf(),
            limit: MAX_BYTES,
        });
    }
    Ok(text)
}
