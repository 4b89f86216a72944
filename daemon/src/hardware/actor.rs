//! The task that asks the system.

use std::sync::Arc;
use std::time::Duration;

use airunner_core::Fault;
use airunner_core::hardware::{Device, Hardware as Profile};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::machine::{Listener, Machine, Reader};
use super::shortage::{Pauses, shortage};
use super::{MemorySink, Readings};

/// How often memory is read while workers live.
const READ_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) enum Message {
    Profile {
        reply: oneshot::Sender<Result<Profile, Fault>>,
    },
    Read {
        reply: Option<oneshot::Sender<()>>,
    },
    DeviceFailed,
}

/// Ready to run.
pub struct Actor {
    messages: mpsc::Receiver<Message>,
    latest: watch::Sender<Option<Profile>>,
    machine: Box<dyn Machine>,
}

impl Actor {
    pub(super) fn new(
        messages: mpsc::Receiver<Message>,
        latest: watch::Sender<Option<Profile>>,
        machine: Box<dyn Machine>,
    ) -> Self {
        Self {
            messages,
            latest,
            machine,
        }
    }

    /// Until the owner of the workers or every handle is gone.
    pub async fn run(self, sink: Arc<dyn MemorySink>) {
        let mut running = Running {
            workers: sink.worker_pids(),
            sink,
            latest: self.latest,
            profiles: JoinSet::new(),
            askers: Vec::new(),
            reader: Some(self.machine.reader()),
            readings: JoinSet::new(),
            readers: Vec::new(),
            is_out_of_date: false,
            is_stalled: false,
            interval: None,
            pauses: Pauses::default(),
            timer: None,
            listener: None,
            machine: self.machine,
        };
        running.profile();
        running.follow_workers();
        running.run(self.messages).await;
    }
}

struct Running {
    machine: Box<dyn Machine>,
    sink: Arc<dyn MemorySink>,
    workers: watch::Receiver<Vec<u32>>,
    latest: watch::Sender<Option<Profile>>,
    /// One at most.
    profiles: JoinSet<Profile>,
    /// Who waits for the profile.
    askers: Vec<oneshot::Sender<Result<Profile, Fault>>>,
    /// Away while it reads.
    reader: Option<Box<dyn Reader>>,
    /// One at most.
    readings: JoinSet<Reading>,
    /// Who waits for figures that are not being read yet.
    readers: Vec<oneshot::Sender<()>>,
    /// Somebody wants figures newer than those being read.
    is_out_of_date: bool,
    /// Programs wait for memory; to be seen in the light of the next figures.
    is_stalled: bool,
    /// Since the last reading, if the timer runs.
    interval: Option<Duration>,
    pauses: Pauses,
    /// Both only while workers live.
    timer: Option<Interval>,
    listener: Option<Box<dyn Listener>>,
}

/// What comes back from where it may block.
struct Reading {
    reader: Box<dyn Reader>,
    readings: Readings,
    has_resumed: bool,
    /// Who waits for them.
    readers: Vec<oneshot::Sender<()>>,
}

impl Running {
    async fn run(&mut self, mut messages: mpsc::Receiver<Message>) {
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.obey(message),
                    None => return,
                },
                changed = self.workers.changed() => match changed {
                    Ok(()) => self.follow_workers(),
                    Err(_) => return,
                },
                Some(profile) = self.profiles.join_next() => self.profiled(profile),
                Some(reading) = self.readings.join_next() => self.read_through(reading),
                () = tick(&mut self.timer) => self.read(),
                () = pressure(&mut self.listener) => {
                    self.is_stalled = true;
                    self.read();
                }
            }
        }
    }

    fn obey(&mut self, message: Message) {
        match message {
            Message::Profile { reply } => {
                self.askers.push(reply);
                self.profile();
            }
            Message::Read { reply } => {
                self.readers.extend(reply);
                self.read();
            }
            Message::DeviceFailed => {
                self.profile();
                self.read();
            }
        }
    }

    /// Also reads when the last worker is gone, so that its memory is seen to be back.
    fn follow_workers(&mut self) {
        let are_any = !self.workers.borrow_and_update().is_empty();
        if are_any && self.timer.is_none() {
            let mut timer = interval(READ_EVERY);
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            timer.reset();
            self.timer = Some(timer);
            self.listener = Some(self.machine.listener());
        }
        if !are_any {
            self.timer = None;
            self.listener = None;
            self.interval = None;
            self.is_stalled = false;
        }
        self.read();
    }

    fn profile(&mut self) {
        if self.profiles.is_empty() {
            self.profiles.spawn_blocking(self.machine.profiler());
        }
    }

    fn profiled(&mut self, profile: Result<Profile, JoinError>) {
        let answer = profile.map_err(|error| Fault::internal(format!("asking the machine failed: {error}")));
        match &answer {
            Ok(profile) => {
                tracing::debug!(
                    cpu = profile.cpu.name,
                    memory_bytes = profile.memory.total_bytes,
                    gpus = profile.gpus.len(),
                    "the machine was looked at"
                );
                for note in &profile.notes {
                    tracing::warn!(note, "something about the machine is not known");
                }
                self.latest.send_replace(Some(profile.clone()));
            }
            Err(fault) => tracing::error!("{fault}"),
        }
        for asker in self.askers.drain(..) {
            // Who asked may be gone.
            drop(asker.send(answer.clone()));
        }
    }

    fn read(&mut self) {
        let Some(mut reader) = self.reader.take() else {
            self.is_out_of_date = true;
            return;
        };
        self.is_out_of_date = false;
        let own = self.workers.borrow().clone();
        let expected = self.interval;
        self.interval = self.timer.is_some().then_some(READ_EVERY);
        let readers = std::mem::take(&mut self.readers);
        self.readings.spawn_blocking(move || Reading {
            readings: reader.read(&own),
            has_resumed: reader.has_resumed(expected),
            reader,
            readers,
        });
    }

    fn read_through(&mut self, reading: Result<Reading, JoinError>) {
        match reading {
            Ok(reading) => {
                self.reader = Some(reading.reader);
                if reading.has_resumed {
                    tracing::info!("the machine slept: it is looked at anew");
                    self.profile();
                }
                self.tell(reading.readings);
                for waiting in reading.readers {
                    if waiting.send(()).is_err() {
                        tracing::debug!("who asked for figures is gone");
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "reading memory failed");
                self.reader = Some(self.machine.reader());
            }
        }
        if self.is_out_of_date {
            self.read();
        }
    }

    fn tell(&mut self, readings: Readings) {
        let is_stalled = std::mem::take(&mut self.is_stalled);
        let short: Vec<(Device, u64)> = readings
            .iter()
            .filter_map(|(device, reading)| {
                let missing = shortage(reading, is_stalled && *device == Device::Cpu)?;
                Some((*device, missing))
            })
            .collect();
        self.sink.readings(readings);
        for (device, shortage_bytes) in short {
            if self.timer.is_some() && self.pauses.is_over(device, Instant::now()) {
                tracing::info!(%device, shortage_bytes, is_stalled, "memory is short");
                self.sink.pressure(device, shortage_bytes);
            }
        }
    }
}

/// Never, without a timer.
async fn tick(timer: &mut Option<Interval>) {
    match timer {
        Some(timer) => {
            timer.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// Never, if nobody listens.
async fn pressure(listener: &mut Option<Box<dyn Listener>>) {
    match listener {
        Some(listener) => listener.next().await,
        None => std::future::pending().await,
    }
}
