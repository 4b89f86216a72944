//! Ctrl-C and the wish of others that this program ends, so that what it started ends with it.

use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::process;

/// How soon the end of a command or the wish to end it is noticed.
const POLL: Duration = Duration::from_millis(20);

/// Once this exists, neither signal ends the program by itself.
#[derive(Default)]
pub(crate) struct Signals {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
}

impl Signals {
    pub(crate) fn watch() -> anyhow::Result<Self> {
        let signals = Self::default();
        for (signal, flag) in [(SIGINT, &signals.interrupt), (SIGTERM, &signals.terminate)] {
            signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot watch for signals")?;
        }
        Ok(signals)
    }

    /// Ctrl-C was pressed; the terminal told every program in the foreground.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// Somebody asked this program alone to end.
    pub(crate) fn terminated(&self) -> bool {
        self.terminate.load(Ordering::Relaxed)
    }

    /// Runs a command to its end, or ends it when this program is asked to end.
    pub(crate) fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start `{}`", process::shown(command)))?;
        let status: ExitStatus = loop {
            if let Some(status) = child.try_wait().context("cannot wait for a command")? {
                break status;
            }
            if self.terminated() {
                child.kill().context("cannot end a command")?;
                break child.wait().context("cannot wait for a command")?;
            }
            std::thread::park_timeout(POLL);
        };
        process::check(command, status)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_command_runs_to_its_end_unless_this_program_is_to_end() {
        let signals = Signals::default();
        assert!(signals.run(&mut Command::new("true")).is_ok());
        assert!(signals.run(&mut Command::new("false")).is_err());
        signals.terminate.store(true, Ordering::Relaxed);
        assert!(signals.run(Command::new("sleep").arg("1000")).is_err());
    }
}
