//! The owner of the jobs that wait or run.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use airunner_core::access::KeyId;
use airunner_core::job::{Job, JobId, JobState};
use airunner_core::{ErrorKind, Fault};
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use super::handle::not_found;
use super::work::{Outcome, Progress, Told, Work};
use crate::storage::Storage;

/// How long work may take to end after it was cancelled.
const CANCEL_TIME: Duration = Duration::from_secs(10);
/// How often what has expired is looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Jobs that are over and kept, whatever their time.
const KEPT: u32 = 1000;
/// Which part of the places the jobs of one key may take, two at least. The user of this machine may take all.
const PART_OF_KEY: usize = 4;
/// What one job was asked for may be at most, bytes of its JSON.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// When to try again if too many jobs wait.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// How jobs are done.
pub struct Options {
    pub works: Vec<Arc<dyn Work>>,
    /// Jobs that may wait or run altogether.
    pub limit: usize,
    /// How long what came of a job is kept.
    pub kept: Duration,
}

impl Options {
    #[must_use]
    pub const fn new(works: Vec<Arc<dyn Work>>) -> Self {
        Self {
            works,
            limit: 64,
            kept: Duration::from_secs(24 * 60 * 60),
        }
    }
}

pub(super) enum Message {
    Submit {
        owner: Option<KeyId>,
        kind: &'static str,
        request: Value,
        reply: oneshot::Sender<Result<Job, Fault>>,
    },
    Follow {
        id: JobId,
        reply: oneshot::Sender<Result<watch::Receiver<Job>, Fault>>,
    },
    Live(oneshot::Sender<HashMap<JobId, Job>>),
    Cancel {
        id: JobId,
        reply: oneshot::Sender<Result<watch::Receiver<Job>, Fault>>,
    },
    Retry {
        id: JobId,
        reply: oneshot::Sender<Result<Job, Fault>>,
    },
    Shutdown(oneshot::Sender<()>),
}

/// What work says to the actor.
enum Report {
    Told(JobId, Told),
    Over(JobId, Outcome),
}

/// A job that is not over.
struct Live {
    work: Arc<dyn Work>,
    job: watch::Sender<Job>,
    /// Set while it runs.
    running: Option<CancellationToken>,
    is_cancelled: bool,
}

/// See the module.
pub struct Actor {
    works: HashMap<&'static str, Arc<dyn Work>>,
    limit: usize,
    kept: Duration,
    storage: Storage,
    messages: mpsc::Receiver<Message>,
    reports: mpsc::Receiver<Report>,
    reporter: mpsc::Sender<Report>,
    /// By when they were submitted.
    live: BTreeMap<(SystemTime, JobId), Live>,
    /// Tells of those that are over.
    over: broadcast::Sender<Job>,
    /// Stops what runs without ending it.
    ending: CancellationToken,
}

impl Actor {
    pub(super) fn new(
        options: Options,
        storage: Storage,
        messages: mpsc::Receiver<Message>,
        over: broadcast::Sender<Job>,
    ) -> Self {
        let (reporter, reports) = mpsc::channel(options.limit.max(1));
        Self {
            works: options
                .works
                .into_iter()
                .map(|work| (work.kind(), work))
                .collect(),
            limit: options.limit,
            kept: options.kept,
            storage,
            messages,
            reports,
            reporter,
            live: BTreeMap::new(),
            over,
            ending: CancellationToken::new(),
        }
    }

    /// Until the shutdown, or until every handle is gone.
    pub async fn run(mut self) {
        if let Err(fault) = self.take_up().await {
            tracing::error!(reason = %fault.kind, "the jobs of an earlier daemon cannot be read: {fault}");
        }
        self.prune().await;
        let mut prune = interval_at(Instant::now() + PRUNE_EVERY, PRUNE_EVERY);
        loop {
            self.start_waiting();
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(Message::Shutdown(reply)) => {
                        self.stop();
                        // Whoever asked may be gone, which is fine.
                        let _ = reply.send(());
                        return;
                    }
                    Some(message) => self.handle(message).await,
                    None => return self.stop(),
                },
                Some(report) = self.reports.recv() => self.hear(report).await,
                _ = prune.tick() => self.prune().await,
            }
        }
    }

    /// Nothing is written: at the next start it is seen that they did not end.
    fn stop(&self) {
        self.ending.cancel();
    }

    async fn take_up(&mut self) -> Result<(), Fault> {
        for job in self.storage.unfinished_jobs().await? {
            let work = self.works.get(job.kind.as_str()).cloned();
            match work {
                // It was cancelled, and had not ended yet.
                _ if job.fault.is_some() => {
                    self.write(self.over(job, JobState::Cancelled, Err(cancelled())))
                        .await;
                }
                Some(work) if work.resumes() || job.state == JobState::Pending => {
                    tracing::info!(job = %job.id, kind = job.kind, "an interrupted job goes on");
                    self.keep(
                        Job {
                            state: JobState::Pending,
                            ..job
                        },
                        work,
                    );
                }
                Some(_) | None => {
                    tracing::info!(job = %job.id, kind = job.kind, "a job was interrupted");
                    let fault = Fault::new(
                        ErrorKind::ShuttingDown,
                        "the daemon was ended while the job ran: begin it again",
                    );
                    self.write(self.over(job, JobState::Failed, Err(fault))).await;
                }
            }
        }
        Ok(())
    }

    async fn prune(&self) {
        if let Err(fault) = self.storage.prune_jobs(SystemTime::now(), KEPT).await {
            tracing::warn!(reason = %fault.kind, "old jobs cannot be forgotten: {fault}");
        }
    }

    async fn handle(&mut self, message: Message) {
        // Whoever asked may be gone, which is fine.
        match message {
            Message::Submit {
                owner,
                kind,
                request,
                reply,
            } => drop(reply.send(self.submit(owner, kind, request).await)),
            Message::Follow { id, reply } => drop(reply.send(self.follow(id).await)),
            Message::Live(reply) => {
                let jobs = self.live.values().map(|live| live.job.borrow().clone());
                drop(reply.send(jobs.map(|job| (job.id.clone(), job)).collect()));
            }
            Message::Cancel { id, reply } => drop(reply.send(self.cancel(id).await)),
            Message::Retry { id, reply } => drop(reply.send(self.retry(id).await)),
            Message::Shutdown(reply) => {
                let _ = reply.send(());
            }
        }
    }

    async fn submit(
        &mut self,
        owner: Option<KeyId>,
        kind: &'static str,
        request: Value,
    ) -> Result<Job, Fault> {
        let Some(work) = self.works.get(kind).cloned() else {
            return Err(Fault::internal(format!("there is no work of the kind {kind}")));
        };
        self.make_sure_of_room(owner)?;
        if request.to_string().len() > MAX_REQUEST_BYTES {
            return Err(Fault::invalid(format!(
                "a job may be asked for with at most {MAX_REQUEST_BYTES} bytes"
            )));
        }
        let now = SystemTime::now();
        let job = self.storage.add_job(owner, kind.to_owned(), request, now).await?;
        tracing::info!(job = %job.id, kind, "a job was submitted");
        self.keep(job.clone(), work);
        Ok(job)
    }

    async fn retry(&mut self, id: JobId) -> Result<Job, Fault> {
        let job = self.follow(id).await?.borrow().clone();
        match job.state {
            JobState::Failed | JobState::Cancelled => {}
            JobState::Pending | JobState::Running | JobState::Completed => return Ok(job),
        }
        let Some(work) = self.works.get(job.kind.as_str()).cloned() else {
            return Err(Fault::internal(format!(
                "there is no work of the kind {}",
                job.kind
            )));
        };
        self.make_sure_of_room(job.owner)?;
        let job = Job {
            state: JobState::Pending,
            result: None,
            progress: 0.0,
            fault: None,
            updated_at: SystemTime::now(),
            expires_at: None,
            ..job
        };
        self.storage.put_job(job.clone()).await?;
        tracing::info!(job = %job.id, kind = job.kind, "a job is begun once more");
        self.keep(job.clone(), work);
        Ok(job)
    }

    fn make_sure_of_room(&self, owner: Option<KeyId>) -> Result<(), Fault> {
        let own = self.live.values().filter(|live| live.job.borrow().owner == owner);
        let most_of_key = (self.limit / PART_OF_KEY).max(2);
        let most = if self.live.len() >= self.limit {
            self.limit
        } else if owner.is_some() && own.count() >= most_of_key {
            most_of_key
        } else {
            return Ok(());
        };
        Err(Fault::new(
            ErrorKind::QueueFull,
            format!("{most} jobs wait or run: try again when some have ended"),
        )
        .retry_after(TRY_AGAIN))
    }

    fn keep(&mut self, job: Job, work: Arc<dyn Work>) {
        let key = (job.created_at, job.id.clone());
        let live = Live {
            work,
            job: watch::Sender::new(job),
            running: None,
            is_cancelled: false,
        };
        self.live.insert(key, live);
    }

    /// As many of each kind as may run, the oldest first.
    fn start_waiting(&mut self) {
        let mut running: HashMap<&'static str, usize> = HashMap::new();
        for live in self.live.values().filter(|live| live.running.is_some()) {
            *running.entry(live.work.kind()).or_default() += 1;
        }
        for live in self.live.values_mut().filter(|live| live.running.is_none()) {
            let count = running.entry(live.work.kind()).or_default();
            if *count < live.work.at_once() {
                *count += 1;
                live.start(self.storage.clone(), self.reporter.clone(), self.ending.clone());
            }
        }
    }

    /// The changes of a job that is over have come to their end.
    async fn follow(&self, id: JobId) -> Result<watch::Receiver<Job>, Fault> {
        if let Some(live) = self.find(&id) {
            return Ok(live.job.subscribe());
        }
        let job = self
            .storage
            .job(id.clone())
            .await?
            .ok_or_else(|| not_found(&id))?;
        if job.expires_at.is_some_and(|expires| expires <= SystemTime::now()) {
            return Err(not_found(&id));
        }
        Ok(watch::channel(job).1)
    }

    fn find(&self, id: &JobId) -> Option<&Live> {
        let mut found = self.live.iter().filter(|((_, other), _)| other == id);
        found.next().map(|(_, live)| live)
    }

    async fn cancel(&mut self, id: JobId) -> Result<watch::Receiver<Job>, Fault> {
        let key = self.live.keys().find(|(_, other)| *other == id).cloned();
        let Some(live) = key.as_ref().and_then(|key| self.live.get_mut(key)) else {
            let watch = self.follow(id.clone()).await?;
            self.storage.delete_job(id).await?;
            return Ok(watch);
        };
        let watch = live.job.subscribe();
        live.is_cancelled = true;
        match &live.running {
            Some(running) => {
                running.cancel();
                let job = live.written();
                self.write(job).await;
            }
            None => self.end(id, Err(cancelled())).await,
        }
        Ok(watch)
    }

    async fn hear(&mut self, report: Report) {
        match report {
            Report::Told(id, told) => self.advance(&id, told).await,
            Report::Over(id, outcome) => self.end(id, outcome).await,
        }
    }

    async fn advance(&self, id: &JobId, told: Told) {
        let Some(live) = self.find(id) else { return };
        let is_new_note = told.noted != live.job.borrow().result;
        live.job.send_modify(|job| {
            job.progress = told.fraction;
            job.result = told.noted;
            job.updated_at = SystemTime::now();
        });
        // Steps on the way are not worth a write: a restart finds them out anew.
        if is_new_note {
            self.write(live.written()).await;
        }
    }

    async fn end(&mut self, id: JobId, outcome: Outcome) {
        let key = self.live.keys().find(|(_, other)| *other == id).cloned();
        let Some(live) = key.and_then(|key| self.live.remove(&key)) else {
            return;
        };
        let (state, outcome) = match outcome {
            _ if live.is_cancelled => (JobState::Cancelled, Err(cancelled())),
            Err(fault) if fault.kind == ErrorKind::Cancelled => (JobState::Cancelled, Err(fault)),
            Err(fault) => (JobState::Failed, Err(fault)),
            Ok(result) => (JobState::Completed, Ok(result)),
        };
        let before = live.job.borrow().clone();
        let job = self.over(before, state, outcome);
        tracing::info!(job = %job.id, kind = job.kind, state = state.as_str(), "a job is over");
        self.write(job.clone()).await;
        // It fails if nobody wants to know, which is fine.
        drop(self.over.send(job.clone()));
        live.job.send_replace(job);
    }

    fn over(&self, job: Job, state: JobState, outcome: Outcome) -> Job {
        let now = SystemTime::now();
        let (result, fault) = match outcome {
            Ok(result) => (Some(result), None),
            Err(fault) => (job.result, Some(fault)),
        };
        Job {
            state,
            progress: if fault.is_none() { 1.0 } else { job.progress },
            result,
            fault,
            updated_at: now,
            expires_at: now.checked_add(self.kept),
            ..job
        }
    }

    /// What cannot be written is told all the same; the next start sees what was written last.
    async fn write(&self, job: Job) {
        let id = job.id.clone();
        if let Err(fault) = self.storage.put_job(job).await {
            tracing::warn!(job = %id, reason = %fault.kind, "a job cannot be written down: {fault}");
        }
    }
}

impl Live {
    /// As it is written down while it is not over: that it was cancelled must outlast the daemon.
    fn written(&self) -> Job {
        let job = self.job.borrow().clone();
        Job {
            fault: self.is_cancelled.then(cancelled),
            ..job
        }
    }

    fn start(&mut self, storage: Storage, reporter: mpsc::Sender<Report>, ending: CancellationToken) {
        let token = CancellationToken::new();
        self.running = Some(token.clone());
        self.job.send_modify(|job| {
            job.state = JobState::Running;
            job.updated_at = SystemTime::now();
        });
        let job = self.job.borrow().clone();
        tracing::info!(job = %job.id, kind = job.kind, "a job begins");
        let work = Arc::clone(&self.work);
        tokio::spawn(async move {
            if let Err(fault) = storage.put_job(job.clone()).await {
                tracing::warn!(job = %job.id, reason = %fault.kind, "a job cannot be written down: {fault}");
            }
            tokio::select! {
                () = ending.cancelled() => {}
                () = carry_out(job, work, token, reporter) => {}
            }
        });
    }
}

/// Runs work to its end and passes on what it tells, the newest if it tells much.
async fn carry_out(job: Job, work: Arc<dyn Work>, token: CancellationToken, reporter: mpsc::Sender<Report>) {
    let id = job.id;
    let told = watch::Sender::new(Told {
        fraction: job.progress,
        noted: job.result.clone(),
    });
    let mut changes = told.subscribe();
    // In a task of its own, so that a defect in it ends the job and nothing else.
    let going = work.run(job.request, job.result, Progress(told), token.clone());
    let mut task = JoinSet::new();
    task.spawn(going);
    let patience = async {
        token.cancelled().await;
        tokio::time::sleep(CANCEL_TIME).await;
    };
    let mut patience = std::pin::pin!(patience);
    let mut tells = true;
    let outcome = loop {
        tokio::select! {
            biased;
            changed = changes.changed(), if tells => {
                tells = changed.is_ok();
                if tells {
                    let told = changes.borrow_and_update().clone();
                    if reporter.send(Report::Told(id.clone(), told)).await.is_err() {
                        return;
                    }
                }
            }
            Some(over) = task.join_next() => break over.unwrap_or_else(|error| {
                Err(Fault::internal(format!("the work of a job failed: {error}")))
            }),
            () = &mut patience => break Err(cancelled()),
        }
    };
    // After the shutdown nobody listens any more.
    drop(reporter.send(Report::Over(id, outcome)).await);
}

fn cancelled() -> Fault {
    Fault::new(ErrorKind::Cancelled, "the job was cancelled")
}
