//! Ending a computation that nobody waits for any more.

use std::sync::{Arc, Mutex, PoisonError};

use ort::session::RunOptions;

/// Shared by the engine's thread and those who may interrupt it.
#[derive(Clone)]
pub(super) struct Interrupt(Arc<Shared>);

struct Shared {
    options: Arc<RunOptions>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whose prompt is being computed.
    running: Option<u64>,
    stopping: bool,
}

impl Interrupt {
    pub(super) fn new(options: Arc<RunOptions>) -> Self {
        Self(Arc::new(Shared {
            options,
            state: Mutex::default(),
        }))
    }

    /// Before a computation; `alone` names the sequence that it serves, if it serves one only.
    pub(super) fn begin(&self, alone: Option<u64>) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running = alone;
        if !state.stopping {
            drop(self.0.options.unterminate());
        }
    }

    pub(super) fn end(&self) {
        self.begin(None);
    }

    /// The sequence's reader left.
    pub(super) fn left(&self, sequence: u64) {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.running == Some(sequence) {
            drop(self.0.options.terminate());
        }
    }

    /// Ends this and every later computation.
    pub(super) fn stop(&self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopping = true;
        drop(self.0.options.terminate());
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stopping
    }
}
