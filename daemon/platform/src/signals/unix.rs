use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::Signal;

pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    attached: bool,
}

impl Signals {
    pub(super) fn listen(attached: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            attached,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::End("SIGINT"),
            _ = self.terminate.recv() => Signal::End("SIGTERM"),
            _ = self.hang_up.recv() => if self.attached {
                Signal::End("SIGHUP")
            } else {
                Signal::Reload
            },
        }
    }
}
