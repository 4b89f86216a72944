use std::sync::Arc;
use std::time::{Duration, SystemTime};

use airunner_core::access::{Caller, KeyId, Scope};
use airunner_core::conversation::Page;
use airunner_core::job::{Job, JobId, JobState};
use airunner_core::{ErrorKind, Fault};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Going, Jobs, Options, Progress, Work};
use crate::storage::Storage;

/// Tells what it is told to, and ends when it may.
struct Scripted {
    kind: &'static str,
    resumes: bool,
    /// 0: not yet; 1: succeed; 2: fail; 3: panic.
    ending: watch::Receiver<u8>,
}

impl Work for Scripted {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn resumes(&self) -> bool {
        self.resumes
    }

    fn run(
        &self,
        request: Value,
        noted: Option<Value>,
        progress: Progress,
        cancelled: CancellationToken,
    ) -> Going {
        let mut ending = self.ending.clone();
        Box::pin(async move {
            if let Some(noted) = noted {
                return Ok(json!({"went on": noted}));
            }
            progress.reached(0.5);
            progress.reached(0.25);
            progress.reached(f64::NAN);
            progress.note(json!({"half": request}));
            tokio::select! {
                () = cancelled.cancelled() => Err(Fault::new(ErrorKind::Cancelled, "cancelled")),
                ending = ending.wait_for(|ending| *ending > 0) => match *ending.unwrap() {
                    1 => Ok(json!("good")),
                    2 => Err(Fault::new(ErrorKind::DiskFull, "full")),
                    _ => panic!("a defect"),
                },
            }
        })
    }
}

struct Bench {
    home: tempfile::TempDir,
    storage: Storage,
    ending: watch::Sender<u8>,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let storage = Storage::open(&home.path().join("x.db")).unwrap();
        Self {
            home,
            storage,
            ending: watch::Sender::new(0),
        }
    }

    fn open(&self, kept: Duration) -> Jobs {
        let work = |kind, resumes| -> Arc<dyn Work> {
            Arc::new(Scripted {
                kind,
                resumes,
                ending: self.ending.subscribe(),
            })
        };
        let options = Options {
            limit: 3,
            kept,
            ..Options::new(vec![work("once", false), work("steady", true)])
        };
        let (jobs, actor) = Jobs::new(options, self.storage.clone());
        tokio::spawn(actor.run());
        jobs
    }

    /// As it is written down, when it is like this.
    async fn until(&self, id: &JobId, like: impl Fn(&Job) -> bool) -> Job {
        loop {
            let job = self.storage.job(id.clone()).await.unwrap().unwrap();
            if like(&job) {
                return job;
            }
            tokio::task::yield_now().await;
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);

async fn over(jobs: &Jobs, id: &JobId) -> Job {
    let mut watch = jobs.follow(&Caller::local(), id.clone()).await.unwrap();
    watch.wait_for(|job| job.state.is_over()).await.unwrap().clone()
}

#[tokio::test]
async fn a_job_is_told_written_and_ended() {
    let bench = Bench::new();
    let jobs = bench.open(DAY);
    let me = Caller::local();
    let first = jobs.submit(&me, "once", json!(1)).await.unwrap();
    let second = jobs.submit(&me, "once", json!(2)).await.unwrap();
    let half = bench.until(&first.id, |job| job.result.is_some()).await;
    assert_eq!((half.state, half.progress), (JobState::Running, 0.5));
    assert_eq!(half.result, Some(json!({"half": 1})));
    assert_eq!(
        jobs.get(&me, second.id.clone()).await.unwrap().state,
        JobState::Pending,
        "one of its kind at once"
    );
    bench.ending.send_replace(1);
    for id in [&first.id, &second.id] {
        let job = over(&jobs, id).await;
        assert_eq!((job.state, job.progress), (JobState::Completed, 1.0));
        assert_eq!(job.result, Some(json!("good")));
        assert!(job.expires_at.is_some());
    }
    let page = Page::new(None, None).unwrap();
    assert_eq!(jobs.list(&me, page).await.unwrap().total, 2);
    jobs.cancel(&me, first.id.clone()).await.unwrap();
    let fault = jobs.get(&me, first.id).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::NotFound, "what is over is forgotten");
    drop(bench.home);
}

#[tokio::test]
async fn failures_and_defects_are_told() {
    let bench = Bench::new();
    let jobs = bench.open(DAY);
    for (ending, kind) in [(2, ErrorKind::DiskFull), (3, ErrorKind::Internal)] {
        bench.ending.send_replace(ending);
        let job = jobs.submit(&Caller::local(), "once", json!({})).await.unwrap();
        let job = over(&jobs, &job.id).await;
        assert_eq!((job.state, job.fault.unwrap().kind), (JobState::Failed, kind));
    }
    let fault = jobs
        .submit(&Caller::local(), "once", json!("x".repeat(2 << 20)))
        .await
        .unwrap_err();
    assert_eq!(fault.kind, ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn running_and_waiting_jobs_are_cancelled_and_too_many_are_refused() {
    let bench = Bench::new();
    let jobs = bench.open(DAY);
    let me = Caller::local();
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(jobs.submit(&me, "once", json!(number)).await.unwrap().id);
    }
    let fault = jobs.submit(&me, "once", json!(3)).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::QueueFull);
    assert!(fault.retry_after.is_some());
    bench.until(&ids[0], |job| job.result.is_some()).await;
    for id in [&ids[2], &ids[0]] {
        let job = jobs.cancel(&me, id.clone()).await.unwrap();
        assert_eq!(job.state, JobState::Cancelled);
        assert_eq!(bench.until(id, |job| job.state.is_over()).await.state, job.state);
    }
    bench.until(&ids[1], |job| job.state == JobState::Running).await;
}

#[tokio::test]
async fn a_restart_takes_up_what_can_go_on_and_says_what_was_interrupted() {
    let bench = Bench::new();
    let jobs = bench.open(DAY);
    let me = Caller::local();
    let lost = jobs.submit(&me, "once", json!(1)).await.unwrap().id;
    let waits = jobs.submit(&me, "once", json!(2)).await.unwrap().id;
    let kept = jobs.submit(&me, "steady", json!(3)).await.unwrap().id;
    for id in [&lost, &kept] {
        bench.until(id, |job| job.result.is_some()).await;
    }
    jobs.shutdown().await;
    let fault = jobs.get(&me, lost.clone()).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::ShuttingDown);

    let jobs = bench.open(DAY);
    let job = over(&jobs, &kept).await;
    assert_eq!(job.result, Some(json!({"went on": {"half": 3}})));
    let job = over(&jobs, &lost).await;
    assert_eq!(
        (job.state, job.fault.unwrap().kind),
        (JobState::Failed, ErrorKind::ShuttingDown)
    );
    bench.ending.send_replace(1);
    assert_eq!(over(&jobs, &waits).await.state, JobState::Completed);
}

#[tokio::test]
async fn what_has_expired_or_belongs_to_others_is_not_there() {
    let bench = Bench::new();
    let phone = Caller {
        key: Some(KeyId(7)),
        name: "phone".to_owned(),
        scopes: vec![Scope::Models],
    };
    let jobs = bench.open(DAY);
    let mine = jobs.submit(&Caller::local(), "once", json!(1)).await.unwrap().id;
    let its = jobs.submit(&phone, "steady", json!(1)).await.unwrap().id;
    for fault in [
        jobs.get(&phone, mine.clone()).await.unwrap_err(),
        jobs.cancel(&phone, mine).await.unwrap_err(),
    ] {
        assert_eq!(fault.kind, ErrorKind::NotFound);
    }
    let page = Page::new(None, None).unwrap();
    assert_eq!(jobs.list(&phone, page).await.unwrap().total, 1);
    jobs.get(&Caller::local(), its).await.unwrap();
    jobs.shutdown().await;

    bench.ending.send_replace(1);
    let jobs = bench.open(Duration::ZERO);
    let brief = jobs.submit(&phone, "steady", json!(2)).await.unwrap().id;
    bench.until(&brief, |job| job.state.is_over()).await;
    let fault = jobs.get(&phone, brief).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::NotFound);
}

fn phone(key: u64) -> Caller {
    Caller {
        key: Some(KeyId(key)),
        name: "phone".to_owned(),
        scopes: vec![Scope::Models],
    }
}

#[tokio::test]
async fn the_jobs_of_one_key_leave_room_for_others() {
    let bench = Bench::new();
    let jobs = bench.open(DAY);
    for number in 0..2 {
        jobs.submit(&phone(1), "once", json!(number)).await.unwrap();
    }
    let fault = jobs.submit(&phone(1), "once", json!(2)).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::QueueFull);
    jobs.submit(&phone(2), "once", json!(3)).await.unwrap();
}

#[tokio::test]
async fn what_was_cancelled_does_not_go_on_after_a_restart() {
    let bench = Bench::new();
    let job = bench
        .storage
        .add_job(None, "steady".to_owned(), json!(1), SystemTime::now())
        .await
        .unwrap();
    let cancelled = Job {
        state: JobState::Running,
        fault: Some(Fault::new(ErrorKind::Cancelled, "cancelled")),
        ..job.clone()
    };
    bench.storage.put_job(cancelled).await.unwrap();
    let jobs = bench.open(DAY);
    assert_eq!(over(&jobs, &job.id).await.state, JobState::Cancelled);
}
