//! The threads of a model, for its operators.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use airunner_kernels::{Parallel, ThreadPool};

use super::weights::Matrix;
use crate::llm::threads::Share;

/// Threads of one session, of which as many compute as its model may use at the moment.
#[derive(Debug)]
pub(crate) struct Pool {
    threads: ThreadPool,
    share: Arc<Share>,
    /// The product that was computed last.
    last: Mutex<Option<Arc<Successor>>>,
}

/// The matrix of the product after one: always the same, as a graph's nodes run in one order.
pub(super) type Successor = OnceLock<Arc<Matrix>>;

impl Pool {
    pub(crate) fn new(share: Arc<Share>) -> io::Result<Self> {
        Ok(Self {
            threads: ThreadPool::new(share.all())?,
            share,
            last: Mutex::default(),
        })
    }

    /// The next job is a product with this matrix: its threads get to know what follows it.
    pub(super) fn turn_to(&self, matrix: &Arc<Matrix>, successor: &Arc<Successor>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.replace(Arc::clone(successor)) {
            last.get_or_init(|| Arc::clone(matrix));
        }
        drop(last);
        if let Some(next) = successor.get() {
            let threads = self.share.now();
            for helper in 0..threads.saturating_sub(1) {
                self.threads.expect(helper, next.first_of_helper(helper, threads));
            }
        }
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
