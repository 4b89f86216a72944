//! The one owner of every download.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use airunner_core::download::{Download, DownloadId, DownloadState};
use airunner_core::event::Event;
use airunner_core::{ErrorKind, Fault};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::blocking::blocking;
use super::digest::Digest;
use super::fetch::{Tools, bytes_here};
use super::job::{Intent, Job, Reply};
use super::library::Library;
use super::resolve::Asked;
use super::run::{Report, Reports, Run};
use crate::events::Publisher;
use crate::storage::DownloadRecord;

/// Downloads that run at once; the others wait for their turn.
const RUNNING: usize = 3;
/// Downloads that are not over, however far.
const MAX_OPEN: usize = 100;
/// Downloads that failed before anything was fetched, and are still shown.
const MAX_HOPELESS: usize = 16;
/// How often those who watch hear of progress.
const TICK: Duration = Duration::from_millis(250);

/// What others want.
pub(super) enum Message {
    Pull {
        asked: Box<Asked>,
        reply: oneshot::Sender<Result<watch::Receiver<Download>, Fault>>,
    },
    List {
        reply: oneshot::Sender<Vec<Download>>,
    },
    Pause {
        id: DownloadId,
        reply: Reply,
    },
    Resume {
        id: DownloadId,
        reply: Reply,
    },
    Cancel {
        id: DownloadId,
        reply: Reply,
    },
    /// Answers when nothing runs any more; what is not over goes on at the next start.
    Shutdown {
        reply: oneshot::Sender<()>,
    },
}

/// Runs until it is told to end, or every handle is gone.
pub struct Actor {
    tools: Arc<Tools>,
    library: Arc<dyn Library>,
    publisher: Publisher,
    jobs: BTreeMap<DownloadId, Job>,
    runs: JoinSet<()>,
    /// Whose the runs are.
    tasks: HashMap<task::Id, DownloadId>,
    messages: mpsc::Receiver<Message>,
    reports: (Reports, mpsc::Receiver<(DownloadId, Report)>),
    ending: Option<oneshot::Sender<()>>,
}

impl Actor {
    /// With what was written down, and how much of it is here.
    pub(super) fn new(
        tools: Arc<Tools>,
        library: Arc<dyn Library>,
        publisher: Publisher,
        records: Vec<(DownloadRecord, u64)>,
        messages: mpsc::Receiver<Message>,
    ) -> Self {
        let mut actor = Self {
            tools,
            library,
            publisher,
            jobs: BTreeMap::new(),
            runs: JoinSet::new(),
            tasks: HashMap::new(),
            messages,
            reports: mpsc::channel(64),
            ending: None,
        };
        for (record, here) in records {
            actor.take_up(record, here);
        }
        actor
    }

    /// What an earlier daemon left.
    fn take_up(&mut self, mut record: DownloadRecord, here: u64) {
        if !record.state.is_at_rest() {
            (record.state, record.fault) = if self.tools.hub.is_offline() {
                (DownloadState::Waiting, Some(offline()))
            } else {
                (DownloadState::Queued, None)
            };
        }
        let asked = Asked {
            record,
            recommended: Vec::new(),
        };
        let job = Job::new(asked, here);
        self.publisher
            .publish(Event::DownloadChanged(Box::new(job.picture())));
        self.jobs.insert(job.asked.record.id, job);
    }

    /// Does what it is told until the end.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.start_next();
            if self.runs.is_empty() && self.ending.is_some() {
                self.note_all().await;
            }
            if self.runs.is_empty()
                && let Some(reply) = self.ending.take()
            {
                if reply.send(()).is_err() {
                    tracing::debug!("nobody waits for the end of the downloads");
                }
                return;
            }
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(message) => self.hear(message).await,
                    None => return,
                },
                Some((id, report)) = self.reports.1.recv() => self.note(id, report).await,
                Some(ended) = self.runs.join_next_with_id() => self.joined(ended).await,
                _ = tick.tick(), if !self.runs.is_empty() => self.measure(),
            }
        }
    }

    fn start_next(&mut self) {
        let running =
            |jobs: &BTreeMap<DownloadId, Job>| jobs.values().filter(|job| job.cancel.is_some()).count();
        while self.ending.is_none() && running(&self.jobs) < RUNNING {
            let next = self
                .jobs
                .values_mut()
                .find(|job| job.cancel.is_none() && job.state() == DownloadState::Queued);
            let Some(job) = next else {
                return;
            };
            let cancel = CancellationToken::new();
            job.cancel = Some(cancel.clone());
            let run = Run {
                tools: Arc::clone(&self.tools),
                library: Arc::clone(&self.library),
                asked: job.asked.clone(),
                progress: Arc::clone(&job.progress),
                reports: self.reports.0.clone(),
                cancel,
            };
            let id = job.asked.record.id;
            let task = self.runs.spawn(run.run());
            self.tasks.insert(task.id(), id);
        }
    }

    /// A run reports its own end, unless it panicked.
    async fn joined(&mut self, ended: Result<(task::Id, ()), JoinError>) {
        let task = match &ended {
            Ok((task, ())) => *task,
            Err(error) => error.id(),
        };
        let Some((id, error)) = self.tasks.remove(&task).zip(ended.err()) else {
            return;
        };
        tracing::error!(download = id.0, %error, "a download failed in an unforeseen way");
        self.note_all().await;
        let fault = Fault::internal("the download failed in an unforeseen way; the log says more");
        self.ended(id, Err(fault)).await;
    }

    async fn hear(&mut self, message: Message) {
        match message {
            Message::Pull { asked, reply } => {
                let job = self.pull(*asked).await;
                drop(reply.send(job));
            }
            Message::List { reply } => {
                drop(reply.send(self.jobs.values().map(Job::picture).collect()));
            }
            Message::Pause { id, reply } => self.stop(id, Intent::Pause, reply).await,
            Message::Cancel { id, reply } => self.stop(id, Intent::Cancel, reply).await,
            Message::Resume { id, reply } => {
                let resumed = self.resume(id).await;
                drop(reply.send(resumed));
            }
            Message::Shutdown { reply } => {
                self.ending = Some(reply);
                self.tools.ending.cancel();
                for cancel in self.jobs.values().filter_map(|job| job.cancel.as_ref()) {
                    cancel.cancel();
                }
            }
        }
    }

    /// Joins the download of that model, or begins it.
    async fn pull(&mut self, asked: Asked) -> Result<watch::Receiver<Download>, Fault> {
        if self.ending.is_some() {
            return Err(shutting_down());
        }
        let is_open = |job: &&Job| !matches!(job.state(), DownloadState::Done | DownloadState::Cancelled);
        let open = || self.jobs.values().filter(is_open);
        let found = open().find(|job| job.asked.record.name.collides_with(&asked.record.name));
        if let Some(job) = found {
            let id = job.asked.record.id;
            if is_same(&job.asked.record, &asked.record) {
                let watch = job.watch();
                self.resume(id).await?;
                return Ok(watch);
            }
            if !is_hopeless(job) {
                return Err(under_way(&job.asked.record));
            }
            self.forget(id).await;
        }
        if self.jobs.values().filter(is_open).count() >= MAX_OPEN {
            return Err(Fault::new(
                ErrorKind::QueueFull,
                format!("{MAX_OPEN} downloads are not over yet: cancel some first"),
            ));
        }
        self.begin(asked).await
    }

    async fn begin(&mut self, mut asked: Asked) -> Result<watch::Receiver<Download>, Fault> {
        let hopeless: Vec<DownloadId> = self
            .jobs
            .values()
            .filter(|job| is_hopeless(job))
            .map(|job| job.asked.record.id)
            .collect();
        for id in hopeless.iter().rev().skip(MAX_HOPELESS) {
            self.forget(*id).await;
        }
        self.jobs_over();
        asked.record.id = self.tools.storage.add_download(asked.record.clone()).await?;
        let job = Job::new(asked, 0);
        let watch = job.watch();
        self.publish(&job);
        self.jobs.insert(job.asked.record.id, job);
        Ok(watch)
    }

    /// Drops what was over long ago, as the database does.
    fn jobs_over(&mut self) {
        let over: Vec<DownloadId> = self
            .jobs
            .values()
            .filter(|job| matches!(job.state(), DownloadState::Done | DownloadState::Cancelled))
            .map(|job| job.asked.record.id)
            .collect();
        for id in over.iter().rev().skip(20) {
            self.jobs.remove(id);
        }
    }

    async fn resume(&mut self, id: DownloadId) -> Result<Download, Fault> {
        if self.tools.hub.is_offline() {
            return Err(offline());
        }
        let job = self.jobs.get_mut(&id).ok_or_else(|| unknown(id))?;
        match job.state() {
            DownloadState::Done | DownloadState::Cancelled => return Err(over(&job.asked.record)),
            DownloadState::Paused | DownloadState::Failed => {}
            DownloadState::Waiting if job.cancel.is_none() => {}
            DownloadState::Queued
            | DownloadState::Resolving
            | DownloadState::Running
            | DownloadState::Verifying
            | DownloadState::Publishing
            | DownloadState::Waiting => {
                if job.cancel.as_ref().is_some_and(CancellationToken::is_cancelled) {
                    return Err(Fault::new(
                        ErrorKind::Busy,
                        "the download is just being stopped: try again",
                    ));
                }
                return Ok(job.picture());
            }
        }
        self.enter(id, DownloadState::Queued, None).await;
        Ok(self.jobs[&id].picture())
    }

    async fn stop(&mut self, id: DownloadId, intent: Intent, reply: Reply) {
        let Some(job) = self.jobs.get_mut(&id) else {
            drop(reply.send(Err(unknown(id))));
            return;
        };
        if matches!(job.state(), DownloadState::Done | DownloadState::Cancelled) {
            drop(reply.send(Err(over(&job.asked.record))));
            return;
        }
        if let Some(cancel) = &job.cancel {
            cancel.cancel();
            // Of two who want it to stop, the one who wants it gone is heard.
            if job.intent != Some(Intent::Cancel) {
                job.intent = Some(intent);
            }
            job.replies.push(reply);
            return;
        }
        self.settle(id, intent).await;
        drop(reply.send(Ok(self.jobs[&id].picture())));
    }

    /// A run has stopped as it was told, or there was none.
    async fn settle(&mut self, id: DownloadId, intent: Intent) {
        match intent {
            Intent::Pause => {
                self.count(id).await;
                let fault = self.jobs[&id].asked.record.fault.clone();
                let failed = self.jobs[&id].state() == DownloadState::Failed;
                let fault = fault.filter(|_| failed);
                self.enter(id, DownloadState::Paused, fault).await;
            }
            Intent::Cancel => self.end(id, DownloadState::Cancelled).await,
        }
    }

    /// What runs that have ended said before.
    async fn note_all(&mut self) {
        while let Ok((id, report)) = self.reports.1.try_recv() {
            self.note(id, report).await;
        }
    }

    async fn note(&mut self, id: DownloadId, report: Report) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        match report {
            Report::State(state, fault) => {
                if job.enter(state, fault) {
                    self.publish(&self.jobs[&id]);
                }
            }
            Report::Planned(record) => {
                let old = &mut job.asked.record;
                old.commit = record.commit;
                old.level = record.level;
                old.directory = record.directory;
                old.total_bytes = record.total_bytes;
            }
            Report::File(file) => job.set_file(file),
            Report::Ended(outcome) => self.ended(id, outcome).await,
        }
    }

    async fn ended(&mut self, id: DownloadId, outcome: Result<(), Fault>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.cancel = None;
        let intent = job.intent.take();
        let replies = std::mem::take(&mut job.replies);
        match (outcome, intent) {
            (Ok(()), _) => self.end(id, DownloadState::Done).await,
            (Err(_), Some(intent)) => self.settle(id, intent).await,
            // It goes on at the next start, as it was.
            (Err(_), None) if self.ending.is_some() => {}
            (Err(fault), None) => {
                tracing::warn!(download = id.0, error = %fault, "a download failed");
                self.count(id).await;
                self.enter(id, DownloadState::Failed, Some(fault)).await;
            }
        }
        let picture = self.jobs.get(&id).map(Job::picture);
        for reply in replies {
            drop(reply.send(picture.clone().ok_or_else(|| unknown(id))));
        }
        self.count_others().await;
    }

    /// What is written down is what the next daemon knows, and what a resumed run begins with: a
    /// run counts neither what another fetched of the same contents nor what it never came to.
    async fn count(&mut self, id: DownloadId) -> bool {
        let storage = &self.tools.storage;
        let here = async { bytes_here(storage, &storage.download_files(id).await?).await };
        match (here.await, self.jobs.get(&id)) {
            (Ok(here), Some(job)) => job.count(here),
            (Ok(_), None) => false,
            (Err(error), _) => {
                tracing::warn!(download = id.0, %error, "what is here of a download is not known");
                false
            }
        }
    }

    /// Downloads at rest have what a run that ended fetched of the same contents.
    async fn count_others(&mut self) {
        let at_rest = |job: &&Job| {
            job.cancel.is_none() && matches!(job.state(), DownloadState::Paused | DownloadState::Failed)
        };
        let others = self.jobs.values().filter(at_rest);
        let others: Vec<DownloadId> = others.map(|job| job.asked.record.id).collect();
        for id in others {
            if self.count(id).await {
                self.publish(&self.jobs[&id]);
            }
        }
    }

    /// Whoever hears that it is over finds nothing left of it.
    async fn end(&mut self, id: DownloadId, state: DownloadState) {
        self.write_down(id, state, None).await;
        self.clear(id).await;
        self.announce(id, state, None);
    }

    /// Deletes everything that nobody else wants of a download that is over.
    async fn clear(&mut self, id: DownloadId) {
        if let Err(fault) = self.clear_all(id).await {
            tracing::warn!(download = id.0, error = %fault, "what was fetched stays until the next start");
        }
    }

    async fn clear_all(&mut self, id: DownloadId) -> Result<(), Fault> {
        let files = self.tools.storage.download_files(id).await?;
        self.tools.storage.end_download(id, false).await?;
        for digest in files.iter().filter_map(|file| Digest::parse(&file.digest)) {
            release(&self.tools, digest).await?;
        }
        Ok(())
    }

    /// A download of which nothing is here.
    async fn forget(&mut self, id: DownloadId) {
        self.enter(id, DownloadState::Cancelled, None).await;
        self.jobs.remove(&id);
        if let Err(fault) = self.tools.storage.end_download(id, true).await {
            tracing::warn!(download = id.0, error = %fault, "a download could not be forgotten");
        }
    }

    /// Writes the state down and tells everybody.
    async fn enter(&mut self, id: DownloadId, state: DownloadState, fault: Option<Fault>) {
        self.write_down(id, state, fault.clone()).await;
        self.announce(id, state, fault);
    }

    async fn write_down(&self, id: DownloadId, state: DownloadState, fault: Option<Fault>) {
        let written = self.tools.storage.set_download_state(id, state, fault).await;
        if let Err(error) = written {
            tracing::error!(download = id.0, %error, "the state of a download could not be written down");
        }
    }

    fn announce(&mut self, id: DownloadId, state: DownloadState, fault: Option<Fault>) {
        let changed = self.jobs.get_mut(&id).is_some_and(|job| job.enter(state, fault));
        if changed {
            self.publish(&self.jobs[&id]);
        }
    }

    fn measure(&mut self) {
        let now = Instant::now();
        let changed: Vec<DownloadId> = self
            .jobs
            .iter_mut()
            .filter(|(_, job)| job.cancel.is_some())
            .filter_map(|(id, job)| job.measure(now).then_some(*id))
            .collect();
        for id in changed {
            self.publish(&self.jobs[&id]);
        }
    }

    fn publish(&self, job: &Job) {
        self.publisher
            .publish(Event::DownloadChanged(Box::new(job.picture())));
    }
}

/// Deletes some content unless somebody wants it or works on it.
pub(super) async fn release(tools: &Arc<Tools>, digest: Digest) -> Result<(), Fault> {
    let Some(_claim) = tools.claims.try_claim(digest) else {
        return Ok(());
    };
    if tools.storage.release_content(digest.to_string()).await? {
        let area = tools.area.clone();
        blocking(move || area.remove(&digest)).await?;
    }
    Ok(())
}

/// True for the same wish, however far the one is.
fn is_same(one: &DownloadRecord, other: &DownloadRecord) -> bool {
    let same_level = one.wish == other.wish || (other.wish.is_some() && one.level == other.wish);
    one.name == other.name
        && one.repository == other.repository
        && (one.revision == other.revision || one.commit.as_ref() == Some(&other.revision))
        && same_level
}

/// It failed before anything was fetched.
fn is_hopeless(job: &Job) -> bool {
    job.state() == DownloadState::Failed && job.asked.record.commit.is_none()
}

fn under_way(record: &DownloadRecord) -> Fault {
    Fault::new(
        ErrorKind::AlreadyExists,
        format!(
            "{} is fetched as {} already, with other wishes (download {}, {}): cancel that first or choose another \
             name",
            record.repository,
            record.name,
            record.id.0,
            record.state.as_str()
        ),
    )
}

fn unknown(id: DownloadId) -> Fault {
    Fault::new(ErrorKind::NotFound, format!("there is no download {}", id.0))
}

fn over(record: &DownloadRecord) -> Fault {
    Fault::invalid(format!(
        "download {} is over: it is {}",
        record.id.0,
        record.state.as_str()
    ))
}

pub(super) fn offline() -> Fault {
    super::hub::HubError::Offline.into()
}

pub(super) fn shutting_down() -> Fault {
    Fault::new(
        ErrorKind::ShuttingDown,
        "the daemon is shutting down; the download goes on when it starts again",
    )
}
