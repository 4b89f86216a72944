//! Who runs the pieces of a computation.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs tasks side by side. Kernels call it from the thread they were called on.
pub trait Parallel {
    /// Tasks that can run at the same time; at least 1.
    fn threads(&self) -> usize;

    /// Runs `task` once for each number below `tasks` and returns when all have ended.
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync));
}

/// One after the other on the caller's thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Parallel for Serial {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..tasks).for_each(task);
    }
}

/// On threads that are started for each call: for work that takes far longer than starting them.
#[derive(Clone, Copy, Debug)]
pub struct Threads(pub usize);

impl Parallel for Threads {
    fn threads(&self) -> usize {
        self.0.max(1)
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= tasks {
                    break;
                }
                task(number);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads().min(tasks) {
                scope.spawn(work);
            }
            work();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn every_task_runs_once() {
        for parallel in [&Serial as &dyn Parallel, &Threads(0), &Threads(3)] {
            for tasks in [0, 1, 2, 17] {
                let ran = Mutex::new(vec![0; tasks]);
                parallel.run(tasks, &|number| ran.lock().unwrap()[number] += 1);
                assert_eq!(ran.into_inner().unwrap(), vec![1; tasks]);
            }
        }
    }
}
