//! Many requests on one model: a thread owns the model and steps through the sequences, decodes
//! of all of them together and prompts in pieces.
//!
//! Owns queue, batch and the slots of finished conversations. Decisions are pure (`turn`, who
//! comes first; `schedule` and `placement` for caches of slots; `batch` and `speculation` for
//! those that run everything together); the loop is `worker`, with `mixed` for the latter. No
//! reader is ever waited for on the engine's thread: `courier` does that.

mod batch;
mod courier;
mod interrupt;
mod mixed;
mod placement;
mod sampling_pool;
mod schedule;
mod sequence;
mod speculation;
mod turn;
mod worker;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use airunner_core::generate::{ClientId, GenerateEvent};
use airunner_core::{ErrorKind, Fault, Priority};
use tokio::sync::mpsc;

use super::constraint::Constraint;
use super::kv::Cache;
use super::sampling::Sampler;
use super::session::Model;
use super::text::Output;
use courier::Courier;
use interrupt::Interrupt;
use sampling_pool::Samplers;
use sequence::{Place, Request};
use speculation::Trial;
use turn::Turns;
use worker::{Slot, Worker};

#[cfg(test)]
mod tests;

/// What a reader may leave unread before its request rests, and for how long.
#[derive(Clone, Copy, Debug)]
struct Patience {
    events: usize,
    time: Duration,
    /// How long it may then take for the last events.
    last: Duration,
}

const PATIENCE: Patience = Patience {
    events: 256,
    time: Duration::from_secs(60),
    last: Duration::from_secs(60),
};
/// When a refused request may come again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// How an engine works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineOptions {
    pub(crate) parallel_requests: usize,
    pub(crate) queue_length: usize,
    pub(crate) prompt_chunk: usize,
}

/// What the engine is to compute.
pub(crate) struct Work {
    pub(crate) prompt: Vec<u32>,
    pub(crate) sampler: Sampler,
    pub(crate) output: Output,
    /// What the answer is held to.
    pub(crate) constraint: Option<Box<Constraint>>,
    /// Tokens the answer may have.
    pub(crate) limit: usize,
    pub(crate) client: ClientId,
    /// Nothing of it may be put on the disk.
    pub(crate) is_private: bool,
    pub(crate) priority: Priority,
    pub(crate) arrived: Instant,
}

/// The handle. Dropping it stops the computation, ends the thread and frees the model.
pub(crate) struct Engine {
    commands: Option<SyncSender<Command>>,
    /// Requests that wait or are at work.
    taken: Arc<AtomicUsize>,
    options: EngineOptions,
    /// Events that may wait for a reader.
    channel: usize,
    interrupt: Interrupt,
    thread: Option<JoinHandle<()>>,
}

/// What the engine's thread is told.
enum Command {
    Compute(Box<Request>),
    /// Give memory back, then say so.
    Trim(SyncSender<()>),
}

/// A place in the queue, taken before the prompt is tokenized.
pub(crate) struct Ticket(Place);

impl Engine {
    pub(crate) fn start(model: Model, cache: Box<dyn Cache>, options: EngineOptions) -> Result<Self, Fault> {
        Self::start_patient(model, cache, options, PATIENCE)
    }

    fn start_patient(
        model: Model,
        cache: Box<dyn Cache>,
        options: EngineOptions,
        patience: Patience,
    ) -> Result<Self, Fault> {
        let internal = |error: std::io::Error| Fault::internal(format!("cannot start a thread: {error}"));
        let courier = Arc::new(Courier::start(patience.last).map_err(internal)?);
        let interrupt = Interrupt::new(Arc::clone(&model.run_options));
        // One place more than requests can take, so that there is always one to trim with.
        let (sender, commands) = sync_channel(options.parallel_requests + options.queue_length + 1);
        let prompt_chunk = if cache.keeps() {
            options.prompt_chunk.max(1)
        } else {
            usize::MAX
        };
        let worker = Worker {
            model,
            cache,
            slots: (0..options.parallel_requests).map(|_| Slot::Free).collect(),
            waiting: VecDeque::new(),
            commands,
            courier,
            interrupt: interrupt.clone(),
            prompt_chunk,
            patience: patience.time,
            clock: 0,
            turns: Turns::default(),
            trial: Trial::default(),
            samplers: Samplers::default(),
        };
        let thread = std::thread::Builder::new()
            .name("llm-engine".to_owned())
            .spawn(move || run(worker))
            .map_err(internal)?;
        Ok(Self {
            commands: Some(sender),
            taken: Arc::default(),
            options,
            channel: patience.events,
            interrupt,
            thread: Some(thread),
        })
    }

    /// A place, or why there is none.
    pub(crate) fn ticket(&self) -> Result<Ticket, Fault> {
        let EngineOptions {
            parallel_requests,
            queue_length,
            ..
        } = self.options;
        Place::take(&self.taken, parallel_requests + queue_length)
            .map(Ticket)
            .ok_or_else(|| {
                let message = format!("{queue_length} requests wait for this model already: try again later");
                Fault::new(ErrorKind::QueueFull, message).retry_after(RETRY_AFTER)
            })
    }

    pub(crate) fn submit(
        &self,
        ticket: Ticket,
        work: Work,
    ) -> Result<mpsc::Receiver<Result<GenerateEvent, Fault>>, Fault> {
        let (events, receiver) = mpsc::channel(self.channel);
        let request = Box::new(Request {
            prompt: work.prompt,
            sampler: work.sampler,
            output: work.output,
            constraint: work.constraint,
            limit: work.limit,
            client: work.client,
            is_private: work.is_private,
            priority: work.priority,
            events,
            arrived: work.arrived,
            place: ticket.0,
            position: None,
        });
        let send = |commands: &SyncSender<Command>| commands.try_send(Command::Compute(request));
        let sent = self.commands.as_ref().map(send);
        match sent {
            Some(Ok(())) => Ok(receiver),
            Some(Err(TrySendError::Full(_))) => Err(Fault::internal("the engine does not take requests")),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(died()),
        }
    }

    /// Drops what nobody is at work on. Returns when that is done.
    pub(crate) fn trim(&self) -> Result<(), Fault> {
        let (done, trimmed) = sync_channel(1);
        let send = |commands: &SyncSender<Command>| commands.try_send(Command::Trim(done));
        match self.commands.as_ref().map(send) {
            Some(Ok(())) => trimmed.recv().map_err(|_| died()),
            // So many requests wait that nothing is idle.
            Some(Err(TrySendError::Full(_))) => Ok(()),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(died()),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.interrupt.stop();
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn died() -> Fault {
    Fault::internal("the model's engine has died: unload the model and load it again; the log says more")
}

/// The body of the engine's thread. Whatever happens, every reader hears of it.
fn run(mut worker: Worker) {
    if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
        tracing::error!("the engine's thread panicked");
        worker.fail_all(&died());
    }
}
