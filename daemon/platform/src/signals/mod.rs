//! Being told to end, or to read the settings again.

use std::io;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// What the system or the user wants of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To end; the name of the signal.
    End(&'static str),
    /// To read its settings again.
    Reload,
}

/// Requests of the system or the user.
pub struct Signals(os::Signals);

impl Signals {
    /// From here on these signals do not end the process by themselves. `attached` to a terminal,
    /// a terminal that is gone is the end; otherwise its signal asks for the settings to be read
    /// again, as of all daemons. Must be called within a tokio runtime.
    pub fn listen(attached: bool) -> io::Result<Self> {
        os::Signals::listen(attached).map(Self)
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        self.0.next().await
    }

    /// The name of the next signal that asks to end.
    pub async fn end(&mut self) -> &'static str {
        loop {
            if let Signal::End(name) = self.next().await {
                return name;
            }
        }
    }
}
