//! A request to the kernel to tell when programs wait for memory too long.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdRegisterError};

/// 15 % of the time, in microseconds. The kernel looks ten times within a window of privileged
/// programs; to others it allows only multiples of 2 s.
const REQUESTS: [&str; 2] = ["some 150000 1000000", "some 300000 2000000"];

/// The request stands while the file is open.
#[derive(Debug)]
pub(super) struct Trigger {
    file: AsyncFd<File>,
}

impl Trigger {
    /// `None` if the kernel is too old or does not let us.
    pub(super) fn set(path: &Path) -> Option<Self> {
        let file = REQUESTS
            .iter()
            .find_map(|request| request_at(path, request).ok())?;
        let file = register(file).ok()?;
        Some(Self { file })
    }

    /// At most once within the window of the request.
    pub(super) async fn fired(&self) -> io::Result<()> {
        let mut guard = self.file.ready(Interest::PRIORITY).await?;
        let ready = guard.ready();
        guard.clear_ready();
        if ready.is_error() {
            return Err(io::Error::other("the file is gone"));
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "tokio cannot know that a file keeps its descriptor")]
fn register(file: File) -> Result<AsyncFd<File>, AsyncFdRegisterError<File>> {
    // SAFETY: a `File` owns its descriptor, which stays open and the same until it is dropped;
    // nothing here exchanges the file inside.
    unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY) }
}

/// A file that already has a request takes no other, so each try opens it anew.
fn request_at(path: &Path, request: &str) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.write_all(format!("{request}\0").as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_not_the_kernels_gives_no_trigger() {
        let files = tempfile::tempdir().unwrap();
        assert!(Trigger::set(&files.path().join("missing")).is_none());
        let ordinary = files.path().join("ordinary");
        std::fs::write(&ordinary, "").unwrap();
        assert!(Trigger::set(&ordinary).is_none());
    }
}
