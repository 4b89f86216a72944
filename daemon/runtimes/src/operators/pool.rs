//! The threads of ONNX Runtime, for kernels.

use std::cell::RefCell;

use airunner_kernels::Parallel;
use ort::operator::ComputeContext;

/// Runs pieces on the threads of the session that a node belongs to.
pub(super) struct Pool<'c> {
    context: &'c ComputeContext,
    threads: usize,
    failed: RefCell<Option<ort::Error>>,
}

impl<'c> Pool<'c> {
    pub(super) fn new(context: &'c ComputeContext, threads: usize) -> Self {
        Self {
            context,
            threads: threads.max(1),
            failed: RefCell::new(None),
        }
    }

    /// Whether all pieces ran.
    pub(super) fn finish(self) -> ort::Result<()> {
        self.failed.into_inner().map_or(Ok(()), Err)
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
        let ran = self.context.par_for(tasks, 0, task);
        if let Err(error) = ran {
            self.failed.replace(Some(error));
        }
    }
}
