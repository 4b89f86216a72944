//! A hub on this machine, for downloads, with everything that can be wrong with one.
//!
//! It speaks just enough HTTP/1.1 by hand: a proper server would not break its answers as wanted.

mod content;
mod serve;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use content::{RemoteFile, noise};

/// How late a sender may be and still keep up its speed.
const CREDIT: Duration = Duration::from_millis(100);

/// What is wrong with an answer to a request for a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The connection breaks after so many bytes.
    Cut(usize),
    /// An error, and when to come back.
    Status(u16, Option<&'static str>),
    /// As long as declared, and wrong.
    WrongBytes,
    /// Another length than the listing says, and no part of the file.
    WrongLength,
    /// More and more, without an end.
    Endless,
    /// The whole file, whatever part was asked for.
    NoRanges,
    /// Nothing after the head.
    Stall,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// Running; ends when dropped.
pub struct Hub {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Bytes of files that were sent.
    served: AtomicU64,
    open: AtomicU64,
    most_open: AtomicU64,
}

#[derive(Default)]
struct State {
    repositories: BTreeMap<String, Repository>,
    /// For this many more answers; files whose path holds the text.
    troubles: Vec<(String, Trouble, usize)>,
    /// Files are sent from there instead.
    redirect: Option<Redirect>,
    seen: Vec<Seen>,
    bytes_per_second: Option<u64>,
    /// When everything that was sent is paid for.
    paid: Option<Instant>,
}

#[derive(Clone, Default)]
struct Repository {
    files: Vec<RemoteFile>,
}

#[derive(Clone)]
struct Redirect {
    /// Such as `http://127.0.0.2:1234`.
    to: String,
    /// An address is good for so many requests.
    uses: u64,
}

impl Hub {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1").await
    }

    /// On another address of this machine, to be another host.
    pub async fn start_at(host: &str) -> Self {
        let listener = TcpListener::bind((host, 0)).await.expect("an address is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(serve::serve(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            task,
        }
    }

    /// For `downloads.hub`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes these the files of a repository, at a commit of their own.
    pub fn publish(&self, repository: &str, files: Vec<RemoteFile>) {
        self.shared
            .state()
            .repositories
            .insert(repository.to_owned(), Repository { files });
    }

    /// Publishes a directory.
    pub fn publish_directory(&self, repository: &str, directory: &Path) {
        self.publish(repository, content::read(directory));
    }

    /// The commit a repository is at.
    #[must_use]
    pub fn commit(&self, repository: &str) -> String {
        self.shared.state().repositories[repository].commit()
    }

    /// The next `times` answers to requests for files whose paths hold `path` are like this.
    pub fn trouble(&self, path: &str, trouble: Trouble, times: usize) {
        self.shared
            .state()
            .troubles
            .push((path.to_owned(), trouble, times));
    }

    pub fn no_trouble(&self) {
        self.shared.state().troubles.clear();
    }

    /// Has files sent by another hub, at addresses that are good for so many requests.
    pub fn redirect(&self, to: &Self, uses: u64) {
        let repositories = self.shared.state().repositories.clone();
        to.shared.state().repositories = repositories;
        self.shared.state().redirect = Some(Redirect {
            to: to.endpoint(),
            uses,
        });
    }

    /// No faster than this, all connections together.
    pub fn slow(&self, bytes_per_second: Option<u64>) {
        self.shared.state().bytes_per_second = bytes_per_second;
    }

    /// Bytes of files that were sent so far.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.shared.served.load(Ordering::SeqCst)
    }

    /// Most connections that were open at once.
    #[must_use]
    pub fn most_open(&self) -> u64 {
        self.shared.most_open.load(Ordering::SeqCst)
    }

    /// Requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the trouble that is due for a file, if any.
    fn trouble_for(&self, path: &str) -> Option<Trouble> {
        let mut state = self.state();
        let due = state
            .troubles
            .iter_mut()
            .find(|(part, _, times)| *times > 0 && path.contains(part.as_str()))?;
        due.2 -= 1;
        Some(due.1.clone())
    }

    /// Returns when so many bytes may be sent.
    async fn pay(&self, bytes: usize) {
        let until = {
            let mut state = self.state();
            let Some(rate) = state.bytes_per_second else {
                return;
            };
            let now = Instant::now();
            // A sender that came late may catch up, or one connection alone could not be as fast
            // as several.
            let credit = now.checked_sub(CREDIT).unwrap_or(now);
            let price = Duration::from_secs_f64(bytes as f64 / rate as f64);
            let paid = state.paid.unwrap_or(now).max(credit) + price;
            state.paid = Some(paid);
            paid
        };
        // As coarse as a timer; over many pieces it evens out.
        if until > Instant::now() + Duration::from_millis(2) {
            tokio::time::sleep_until(until).await;
        }
    }
}
