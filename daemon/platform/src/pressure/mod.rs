//! Hearing that main memory runs short.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as os;

/// Listens as long as it lives. It costs nothing while memory suffices where the system tells by
/// itself, and one small read a second where it has to be asked.
#[derive(Debug)]
pub struct Pressure {
    listener: os::Listener,
}

impl Pressure {
    /// Must be called inside a tokio runtime with its timer and input/output enabled.
    #[must_use]
    pub fn listen() -> Self {
        Self {
            listener: os::Listener::new(),
        }
    }

    /// Resolves when programs wait for memory, or little is left: a reason to look at the
    /// figures, which tell how much is missing. Dropping the future loses nothing.
    pub async fn next(&mut self) {
        self.listener.next().await;
    }

    /// How it listens, for the log.
    #[must_use]
    pub const fn means(&self) -> &'static str {
        self.listener.means()
    }
}
