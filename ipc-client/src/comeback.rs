//! When to try to reach a daemon again.

use std::time::Duration;

use airunner_core::ErrorKind;
use airunner_platform::{Arrivals, Endpoint};
use tokio::time::Instant;

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);
/// Where the system says when a daemon may have come, asking is only a precaution.
const LONGEST_IF_TOLD: Duration = Duration::from_secs(600);

/// Waits between attempts: ever more slowly up to once in ten seconds, or where the system says
/// when a daemon may have come, then and next to never otherwise.
#[derive(Debug)]
pub(crate) struct Comeback {
    endpoint: Endpoint,
    retry_at: Instant,
    wait: Duration,
    /// Kept from one attempt to the next, so that no daemon comes unseen between them.
    arrivals: Option<Arrivals>,
}

impl Comeback {
    /// The first attempt may be made at once.
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            retry_at: Instant::now(),
            wait: SHORTEST,
            arrivals: None,
        }
    }

    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The daemon answers.
    pub(crate) fn succeeded(&mut self) {
        self.wait = SHORTEST;
        self.arrivals = None;
    }

    /// It does not, or not any more. With another reason than that it does not run, its coming
    /// would not help, so the long waits do not count.
    pub(crate) fn failed(&mut self, reason: ErrorKind) {
        if self.arrivals.is_none() {
            self.arrivals = Arrivals::at(&self.endpoint);
        }
        self.retry_at = Instant::now() + self.wait;
        let told = self.arrivals.is_some() && reason == ErrorKind::DaemonNotRunning;
        self.wait = if told && self.wait >= LONGEST {
            LONGEST_IF_TOLD
        } else {
            (self.wait * 2).min(LONGEST)
        };
    }

    /// Returns when the next attempt is due. Dropping the future loses nothing.
    pub(crate) async fn due(&mut self) {
        let arrivals = &mut self.arrivals;
        let arrival = async {
            match arrivals {
                Some(arrivals) => arrivals.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(self.retry_at) => {}
            sure = arrival => {
                // Remembered, in case the attempt is given up before its end.
                self.retry_at = Instant::now();
                self.wait = SHORTEST;
                if !sure {
                    self.arrivals = None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: ErrorKind = ErrorKind::DaemonNotRunning;

    /// Seconds until each of the next attempts.
    async fn waits(comeback: &mut Comeback, reason: ErrorKind) -> Vec<f32> {
        let mut waits = Vec::new();
        for _ in 0..9 {
            comeback.failed(reason);
            let before = Instant::now();
            comeback.due().await;
            waits.push(before.elapsed().as_secs_f32().round());
        }
        waits
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_become_seldom_and_end_nowhere() {
        let nowhere = std::env::temp_dir().join("no-such-directory/airunnerd.sock");
        let mut comeback = Comeback::new(Endpoint::at(nowhere));
        let expected = [0.0, 1.0, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0];
        assert_eq!(waits(&mut comeback, GONE).await, expected);
        comeback.succeeded();
        assert_eq!(waits(&mut comeback, GONE).await, expected);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn where_a_daemon_would_be_noticed_attempts_are_a_precaution() {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = || Endpoint::at(directory.path().join("airunnerd.sock"));
        let mut comeback = Comeback::new(endpoint());
        let waits_if_gone = waits(&mut comeback, GONE).await;
        assert_eq!(waits_if_gone[6..], [10.0, 600.0, 600.0]);
        let mut comeback = Comeback::new(endpoint());
        let waits_if_refused = waits(&mut comeback, ErrorKind::AlreadyExists).await;
        assert_eq!(waits_if_refused[6..], [10.0, 10.0, 10.0]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_daemon_that_may_have_come_is_asked_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("airunnerd.sock");
        let mut comeback = Comeback::new(Endpoint::at(socket.clone()));
        comeback.wait = LONGEST_IF_TOLD;
        comeback.failed(GONE);
        let due = async {
            comeback.due().await;
            // Also if the attempt was given up.
            comeback.due().await;
        };
        let come = async { std::fs::write(&socket, "").unwrap() };
        let both = async { tokio::join!(due, come) };
        tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
        assert_eq!(comeback.wait, SHORTEST);
    }
}
