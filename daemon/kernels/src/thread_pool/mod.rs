//! Threads that stay, and help with one piece of a computation after the other.
//!
//! A step of a language model is a hundred jobs of some hundred microseconds with a few
//! microseconds between them, and to wake a thread takes longer than those. So a helper looks for
//! the next job for a moment before it sleeps, as long as jobs have lately come that soon: within
//! a step nobody sleeps, between requests everybody does.

mod ahead;
mod gate;
mod sleeper;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::cell::UnsafeCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ahead::Ahead;
use gate::Gate;
use sleeper::Sleeper;

/// How long a thread looks for what it waits for before it sleeps.
const PATIENCE: Duration = Duration::from_micros(200);

/// Jobs that came soon are remembered up to here, each that did not takes [`IMPATIENCE`] of them.
const MEMORY: u32 = 16;
const IMPATIENCE: u32 = 4;

/// A caller and its helpers. Jobs of several callers do not share them: who comes while another's
/// job runs computes alone.
pub struct ThreadPool {
    state: Arc<State>,
    caller: Mutex<Caller>,
    helpers: Vec<JoinHandle<()>>,
}

/// When jobs come.
#[derive(Default)]
struct Caller {
    ended: Option<Instant>,
    came_soon: u32,
}

struct State {
    gate: Gate,
    job: UnsafeCell<Job>,
    /// The next task of the job.
    next: AtomicUsize,
    /// Whether it is worth looking for the next job.
    is_patient: AtomicBool,
    ends: AtomicBool,
    helpers: Vec<Helper>,
    caller: Sleeper,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[expect(unsafe_code, reason = "a job that all threads look at")]
// SAFETY: all but `job` is `Sync`. That is written only while the gate is closed and nobody is
// inside, and read only inside; the gate orders one before the other.
unsafe impl Sync for State {}

/// A thread that helps.
#[derive(Default)]
struct Helper {
    sleeper: Sleeper,
    /// Its part of the job after this one.
    ahead: Ahead,
}

#[derive(Clone, Copy)]
struct Job {
    tasks: usize,
    /// Lives as long as somebody is inside the gate.
    task: &'static (dyn Fn(usize) + Sync),
}

impl ThreadPool {
    /// With so many threads, the caller's among them.
    pub fn new(threads: usize) -> io::Result<Self> {
        let count = threads.saturating_sub(1).min(gate::MOST);
        let mut pool = Self {
            state: Arc::new(State::new(count)),
            caller: Mutex::default(),
            helpers: Vec::with_capacity(count),
        };
        for number in 0..count {
            let state = Arc::clone(&pool.state);
            let builder = std::thread::Builder::new().name(format!("kernel-{}", number + 1));
            pool.helpers.push(builder.spawn(move || state.help(number))?);
        }
        Ok(pool)
    }

    /// The threads there are, the caller's among them.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Says what a helper is likely to read in the job after the next one that is run: it brings
    /// that near while it waits for it. Helpers are counted from 0, those that are not there do
    /// nothing.
    pub fn expect(&self, helper: usize, bytes: &[u8]) {
        if let Some(helper) = self.state.helpers.get(helper) {
            helper.ahead.set(bytes);
        }
    }

    /// Runs `task` once for each number below `tasks` with at most `threads` threads, and returns
    /// when all have ended.
    ///
    /// # Panics
    ///
    /// Where a task does, after the others have ended.
    pub fn run(&self, threads: usize, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let helpers = threads.min(tasks).saturating_sub(1).min(self.helpers.len());
        let turn = (helpers > 0).then(|| self.turn()).flatten();
        let Some(mut caller) = turn else {
            return (0..tasks).for_each(task);
        };
        let after = caller.ended.map(|ended| ended.elapsed());
        let is_patient = caller.begins(after);
        self.state.is_patient.store(is_patient, Ordering::Relaxed);
        #[expect(
            unsafe_code,
            reason = "a reference that helpers have for the time of this call"
        )]
        // SAFETY: only those inside the gate use it, and `Opened` waits until they have left, also
        // where this thread's task panics.
        let lasting =
            unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task) };
        let job = Job { tasks, task: lasting };
        let opened = Opened::new(&self.state, job, helpers);
        self.state.take_tasks(job);
        drop(opened);
        caller.ended = Some(Instant::now());
        drop(caller);
        let panic = self
            .state
            .panic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn turn(&self) -> Option<MutexGuard<'_, Caller>> {
        match self.caller.try_lock() {
            Ok(caller) => Some(caller),
            Err(TryLockError::Poisoned(caller)) => Some(caller.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.state.ends.store(true, Ordering::SeqCst);
        self.state.helpers.iter().for_each(|helper| helper.sleeper.wake());
        for helper in self.helpers.drain(..) {
            // It ends with the tasks' panics caught.
            let _ended = helper.join();
        }
    }
}

impl std::fmt::Debug for ThreadPool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ThreadPool")
            .field("threads", &self.threads())
            .finish_non_exhaustive()
    }
}

impl Caller {
    /// A job begins, so long after the one before ended; whether the next one is worth looking for.
    fn begins(&mut self, after: Option<Duration>) -> bool {
        let is_soon = after.is_some_and(|after| after < PATIENCE);
        self.came_soon = if is_soon {
            (self.came_soon + 1).min(MEMORY)
        } else {
            self.came_soon.saturating_sub(IMPATIENCE)
        };
        self.came_soon > 0
    }
}

impl State {
    fn new(helpers: usize) -> Self {
        Self {
            gate: Gate::default(),
            job: UnsafeCell::new(Job {
                tasks: 0,
                task: &|_| (),
            }),
            next: AtomicUsize::new(0),
            is_patient: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            helpers: (0..helpers).map(|_| Helper::default()).collect(),
            caller: Sleeper::default(),
            panic: Mutex::default(),
        }
    }

    /// The life of a helper.
    fn help(&self, number: usize) {
        let mut last = 0;
        loop {
            let patience = if self.is_patient.load(Ordering::Relaxed) {
                PATIENCE
            } else {
                Duration::ZERO
            };
            let Helper { sleeper, ahead } = &self.helpers[number];
            let mut asking = ahead.begin();
            sleeper.wait_until(patience, || {
                let is_wanted = self.ends.load(Ordering::SeqCst) || self.gate.enter(number, &mut last);
                if !is_wanted {
                    asking.step();
                }
                is_wanted
            });
            if self.ends.load(Ordering::SeqCst) {
                break;
            }
            #[expect(unsafe_code, reason = "the job")]
            // SAFETY: inside the gate nobody writes it.
            let job = unsafe { *self.job.get() };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.take_tasks(job))) {
                self.panic
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(panic);
            }
            if self.gate.leave() {
                self.caller.wake();
            }
        }
    }

    fn take_tasks(&self, job: Job) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= job.tasks {
                break;
            }
            (job.task)(number);
        }
    }
}

/// While it lives helpers may enter; its end waits for those inside.
struct Opened<'s>(&'s State);

impl<'s> Opened<'s> {
    fn new(state: &'s State, job: Job, helpers: usize) -> Self {
        #[expect(unsafe_code, reason = "the job")]
        // SAFETY: the gate is closed and nobody is inside: only one caller at a time has the turn,
        // and its `Opened` before has ended.
        unsafe {
            *state.job.get() = job;
        }
        state.next.store(0, Ordering::Relaxed);
        state.gate.open(helpers);
        state.helpers[..helpers]
            .iter()
            .for_each(|helper| helper.sleeper.wake());
        Self(state)
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.0.gate.close();
        self.0.caller.wait_until(PATIENCE, || self.0.gate.is_empty());
    }
}
