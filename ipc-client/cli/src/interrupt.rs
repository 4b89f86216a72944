//! Ctrl-C: the first one cancels what is being done, the second one ends this program.

use tokio::sync::watch;

/// What the shell reports for a program ended by Ctrl-C.
const ENDED_BY_INTERRUPT: i32 = 130;

#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    pressed: watch::Sender<bool>,
}

impl Interrupt {
    /// From here on Ctrl-C does not end the program by itself. Needs a tokio runtime.
    pub(crate) fn listen() -> Self {
        let interrupt = Self {
            pressed: watch::Sender::new(false),
        };
        let pressed = interrupt.pressed.clone();
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if pressed.send_replace(true) {
                    end();
                }
            }
        });
        interrupt
    }

    /// Returns once Ctrl-C was pressed.
    pub(crate) async fn pressed(&mut self) {
        let mut pressed = self.pressed.subscribe();
        // The sender lives as long as this, so the wait cannot fail.
        let _ = pressed.wait_for(|&pressed| pressed).await;
    }

    /// What was being done has been cancelled; the next Ctrl-C is a first one again.
    pub(crate) fn handled(&self) {
        self.pressed.send_replace(false);
    }
}

#[expect(
    clippy::exit,
    reason = "the user asked twice, and the main thread may be stuck"
)]
fn end() {
    std::process::exit(ENDED_BY_INTERRUPT);
}
