use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, Event, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Room for several events with the longest names.
const BUFFER: usize = 2048;

#[derive(Debug)]
pub(super) struct Arrivals {
    events: AsyncFd<OwnedFd>,
    name: OsString,
}

/// What a look at the events has shown.
enum Seen {
    Nothing,
    Arrival,
    /// The directory is gone, or events were lost.
    Unsure,
}

impl Arrivals {
    pub(super) fn at(path: &Path) -> Option<Self> {
        let (directory, name) = (path.parent()?, path.file_name()?.to_owned());
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        let wanted =
            WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF | WatchFlags::ONLYDIR;
        inotify::add_watch(&events, directory, wanted).ok()?;
        #[expect(
            unsafe_code,
            reason = "tokio has no safe way to wait for a descriptor of its own"
        )]
        // SAFETY: `OwnedFd` gives the same descriptor at every call, which is open as long as the
        // `AsyncFd` owns it; it is never taken out and nothing else closes it.
        let events = unsafe { AsyncFd::register_with_interest(events, Interest::READABLE) }.ok()?;
        Some(Self { events, name })
    }

    pub(super) async fn next(&mut self) -> bool {
        loop {
            let Ok(mut ready) = self.events.readable().await else {
                return false;
            };
            match ready.try_io(|events| look(events.get_ref(), &self.name)) {
                Ok(Ok(Seen::Arrival)) => return true,
                Ok(Ok(Seen::Unsure) | Err(_)) => return false,
                Ok(Ok(Seen::Nothing)) | Err(_) => {}
            }
        }
    }
}

/// Reads every event that is there.
fn look(events: &OwnedFd, name: &OsString) -> io::Result<Seen> {
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut reader = Reader::new(events, &mut buffer);
    let mut seen = Seen::Nothing;
    let mut any = false;
    loop {
        match reader.next() {
            Ok(event) => {
                any = true;
                seen = worse(seen, judge(&event, name));
            }
            // The first look at nothing is said, so that readiness is waited for again.
            Err(Errno::WOULDBLOCK) if any => return Ok(seen),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn judge(event: &Event<'_>, name: &OsString) -> Seen {
    let lost = inotify::ReadFlags::QUEUE_OVERFLOW | inotify::ReadFlags::IGNORED;
    if event.events().intersects(lost) {
        Seen::Unsure
    } else if event
        .file_name()
        .is_some_and(|file| file.to_bytes() == name.as_bytes())
    {
        Seen::Arrival
    } else {
        Seen::Nothing
    }
}

const fn worse(one: Seen, other: Seen) -> Seen {
    match (one, other) {
        (Seen::Unsure, _) | (_, Seen::Unsure) => Seen::Unsure,
        (Seen::Arrival, _) | (_, Seen::Arrival) => Seen::Arrival,
        (Seen::Nothing, Seen::Nothing) => Seen::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const A_WHILE: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn only_what_has_the_name_is_an_arrival() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let mut arrivals = Arrivals::at(&socket).unwrap();
        std::fs::write(directory.path().join("other"), "").unwrap();
        assert!(tokio::time::timeout(A_WHILE, arrivals.next()).await.is_err());
        std::fs::write(&socket, "").unwrap();
        assert!(tokio::time::timeout(LONG, arrivals.next()).await.unwrap());
        assert!(tokio::time::timeout(A_WHILE, arrivals.next()).await.is_err());
        std::fs::write(directory.path().join("aside"), "").unwrap();
        std::fs::rename(directory.path().join("aside"), &socket).unwrap();
        assert!(tokio::time::timeout(LONG, arrivals.next()).await.unwrap());
    }

    #[tokio::test]
    async fn a_directory_that_goes_is_said_and_one_that_is_not_there_cannot_be_watched() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("run/socket");
        assert!(Arrivals::at(&socket).is_none());
        std::fs::create_dir(directory.path().join("run")).unwrap();
        let mut arrivals = Arrivals::at(&socket).unwrap();
        std::fs::remove_dir(directory.path().join("run")).unwrap();
        assert!(!tokio::time::timeout(LONG, arrivals.next()).await.unwrap());
    }
}
