//! Noticing that somebody may listen at an endpoint, without asking again and again.

use super::Endpoint;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as os;

/// Watches the place where an endpoint appears.
#[derive(Debug)]
pub struct Arrivals(os::Arrivals);

impl Arrivals {
    /// Begins to look; `None` if this system cannot tell, or the place does not exist yet. Look
    /// first and then try to connect, so that nothing falls between. Must be called within a
    /// tokio runtime.
    #[must_use]
    pub fn at(endpoint: &Endpoint) -> Option<Self> {
        os::Arrivals::at(&endpoint.0).map(Self)
    }

    /// Returns when something has appeared there since the last call. False: the place is gone,
    /// or something may have been missed; look again from the beginning. Dropping the future
    /// loses nothing.
    pub async fn next(&mut self) -> bool {
        self.0.next().await
    }
}
