//! Being told to end.

use std::io;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// Requests of the system or the user to end this process.
pub struct Signals(os::Signals);

impl Signals {
    /// From here on these signals do not end the process by themselves. Must be called within a
    /// tokio runtime.
    pub fn listen() -> io::Result<Self> {
        os::Signals::listen().map(Self)
    }

    /// The name of the next signal that asks to end.
    pub async fn next(&mut self) -> &'static str {
        self.0.next().await
    }
}
