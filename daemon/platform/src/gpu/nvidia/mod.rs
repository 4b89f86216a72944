//! NVIDIA GPUs through the driver's own library, which is loaded at run time.
//!
//! A driver can hang in the kernel, so a thread of its own asks it and everybody else waits only
//! so long. While it hangs its GPUs are not reported; when it answers again they are.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use airunner_core::hardware::{Device, Gpu};
use airunner_core::memory::MemoryReading;

use super::Found;

mod figures;
mod nvml;

use figures::Figures;

const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(3),
    let_go: Duration::from_secs(30),
};
/// When to look again after there was no driver or it failed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The side that talks to the driver.
trait Driver {
    fn ask(&mut self) -> Result<Answer, Refusal>;
}

type Open = fn() -> Box<dyn Driver>;

#[derive(Clone, Copy, Debug)]
struct Patience {
    /// How long an answer may take: a driver nobody used for a while wakes the GPU first.
    answer: Duration,
    /// After so long without a question the driver is let go, so that the GPU may sleep.
    let_go: Duration,
}

/// Everything the driver says of every GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Answer {
    version: String,
    gpus: Vec<Figures>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// There is no driver.
    Absent,
    /// It does not answer in time.
    Hangs,
    /// It says why not.
    Failed(String),
}

type Reply = SyncSender<Result<Answer, Refusal>>;

/// Asks the driver; opens it when it is asked first and again after it failed.
#[derive(Debug)]
pub(super) struct Nvidia {
    open: Open,
    patience: Patience,
    thread: Option<Thread>,
    /// Why the driver is left alone for a while, and until when.
    left_alone: Option<(Refusal, Instant)>,
}

#[derive(Debug)]
struct Thread {
    requests: SyncSender<Reply>,
    /// The answer to a request nobody waits for any more.
    late: Option<Receiver<Result<Answer, Refusal>>>,
}

impl Default for Nvidia {
    fn default() -> Self {
        Self::with(|| Box::new(nvml::Library::default()), PATIENCE)
    }
}

impl Nvidia {
    fn with(open: Open, patience: Patience) -> Self {
        Self {
            open,
            patience,
            thread: None,
            left_alone: None,
        }
    }

    pub(super) fn found(&mut self) -> Found {
        self.left_alone = None;
        match self.ask(Instant::now()) {
            Ok(answer) => found(answer),
            Err(Refusal::Absent) => Found::default(),
            Err(Refusal::Hangs) => noted(format!(
                "the NVIDIA driver did not answer within {} s",
                self.patience.answer.as_secs()
            )),
            Err(Refusal::Failed(reason)) => noted(format!("the NVIDIA driver fails: {reason}")),
        }
    }

    pub(super) fn readings(&mut self, own_pids: &[u32]) -> Vec<(Device, MemoryReading)> {
        let answer = self.ask(Instant::now()).unwrap_or_default();
        let readings = (0..).map(Device::Cuda).zip(answer.gpus);
        readings
            .filter_map(|(device, figures)| Some((device, figures.reading(own_pids)?)))
            .collect()
    }

    fn ask(&mut self, now: Instant) -> Result<Answer, Refusal> {
        if let Some((refusal, until)) = &self.left_alone
            && now < *until
        {
            return Err(refusal.clone());
        }
        self.left_alone = None;
        let answer = self.ask_thread();
        match &answer {
            Ok(_) => {}
            Err(Refusal::Hangs) => tracing::debug!("the NVIDIA driver does not answer"),
            Err(refusal) => {
                tracing::debug!(?refusal, "no NVIDIA GPU");
                self.thread = None;
                self.left_alone = Some((refusal.clone(), now + LOOK_AGAIN));
            }
        }
        answer
    }

    fn ask_thread(&mut self) -> Result<Answer, Refusal> {
        if self.thread.is_none() {
            self.thread = Some(Thread::start(self.open, self.patience.let_go)?);
        }
        let patience = self.patience.answer;
        let thread = self.thread.as_mut();
        thread.map_or(Err(Refusal::Absent), |thread| thread.ask(patience))
    }
}

impl Thread {
    /// It ends when the last sender of requests is gone and the driver has answered.
    fn start(open: Open, let_go: Duration) -> Result<Self, Refusal> {
        let (requests, asked) = sync_channel::<Reply>(1);
        std::thread::Builder::new()
            .name("nvidia".to_owned())
            .spawn(move || serve(open, &asked, let_go))
            .map_err(|error| Refusal::Failed(format!("no thread for it: {error}")))?;
        Ok(Self { requests, late: None })
    }

    /// While an earlier request is not answered there is no other.
    fn ask(&mut self, patience: Duration) -> Result<Answer, Refusal> {
        if let Some(late) = self.late.take()
            && late.try_recv() == Err(TryRecvError::Empty)
        {
            self.late = Some(late);
            return Err(Refusal::Hangs);
        }
        let (reply, answer) = sync_channel(1);
        self.requests.send(reply).map_err(|_| ended())?;
        match answer.recv_timeout(patience) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                self.late = Some(answer);
                Err(Refusal::Hangs)
            }
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
        }
    }
}

fn ended() -> Refusal {
    Refusal::Failed("its library ended the thread that called it".to_owned())
}

fn serve(open: Open, asked: &Receiver<Reply>, let_go: Duration) {
    let mut driver = None;
    loop {
        let reply = match asked.recv_timeout(let_go) {
            Err(RecvTimeoutError::Timeout) => {
                driver = None;
                asked.recv().ok()
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Ok(reply) => Some(reply),
        };
        let Some(reply) = reply else {
            return;
        };
        let answer = driver.get_or_insert_with(open).ask();
        // It fails if nobody waits any more, which is fine.
        drop(reply.send(answer));
    }
}

fn noted(note: String) -> Found {
    Found {
        notes: vec![note],
        ..Found::default()
    }
}

fn found(answer: Answer) -> Found {
    let mut found = Found::default();
    for (device, figures) in (0..).map(Device::Cuda).zip(answer.gpus) {
        if figures.shares_main_memory() {
            found.unified = true;
            found.notes.push(format!("{device} uses main memory"));
        } else if let Some(problem) = figures.problem() {
            found.notes.push(format!("{device}: {problem}"));
        }
        found.gpus.push(Gpu {
            device,
            driver: answer.version.clone(),
            ..figures.gpu()
        });
    }
    found
}

#[cfg(test)]
mod tests;
