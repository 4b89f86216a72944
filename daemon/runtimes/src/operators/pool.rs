//! The threads of ONNX Runtime, for kernels.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use airunner_kernels::Parallel;
use ort::operator::ComputeContext;

use crate::llm::threads::Share;

/// Runs pieces on the threads of the session that a node belongs to, as many as its model may use.
pub(super) struct Pool<'c> {
    context: &'c ComputeContext,
    threads: usize,
    /// Threads of the session.
    all: usize,
    failed: RefCell<Option<ort::Error>>,
}

impl<'c> Pool<'c> {
    pub(super) fn new(context: &'c ComputeContext, share: &Share) -> Self {
        Self {
            context,
            threads: share.now(),
            all: share.all(),
            failed: RefCell::new(None),
        }
    }

    /// Whether all pieces ran.
    pub(super) fn finish(self) -> ort::Result<()> {
        self.failed.into_inner().map_or(Ok(()), Err)
    }

    /// The session has more threads than are to be used: so many of them take one piece after the
    /// other.
    fn run_with_some(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) -> ort::Result<()> {
        let next = AtomicUsize::new(0);
        let work = |_| {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= tasks {
                    break;
                }
                task(number);
            }
        };
        self.context.par_for(self.threads.min(tasks), 0, work)
    }
}

impl Parallel for Pool<'_> {
    fn threads(&self) -> usize {
        self.threads
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if tasks < 2 || self.threads < 2 {
            return (0..tasks).for_each(task);
        }
        let ran = if self.threads < self.all {
            self.run_with_some(tasks, task)
        } else {
            self.context.par_for(tasks, 0, task)
        };
        if let Err(error) = ran {
            self.failed.replace(Some(error));
        }
    }
}
