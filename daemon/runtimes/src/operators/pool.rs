//! The threads of a model, for its operators.

use std::io;
use std::sync::Arc;

use airunner_kernels::{Parallel, ThreadPool};

use crate::llm::threads::Share;

/// Threads of one session, of which as many compute as its model may use at the moment.
#[derive(Debug)]
pub(crate) struct Pool {
    threads: ThreadPool,
    share: Arc<Share>,
}

impl Pool {
    pub(crate) fn new(share: Arc<Share>) -> io::Result<Self> {
        Ok(Self {
            threads: ThreadPool::new(share.all())?,
            share,
        })
    }
}

impl Parallel for Pool {
    fn threads(&self) -> usize {
        self.share.now()
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        self.threads.run(self.share.now(), tasks, task);
    }
}
