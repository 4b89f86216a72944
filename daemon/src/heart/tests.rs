use std::pin::pin;
use std::sync::Arc;

use airunner_core::KeepAlive;
use airunner_core::memory::Budget;
use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::*;
use crate::events;
use crate::models::Store;
use crate::models::paper::{Paperwork, parts};
use crate::workers::{Launcher, Order, Reports, WorkerHandle};

const WATCHDOG: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(7);

/// Nothing is loaded here.
struct Idle;

impl Launcher for Idle {
    fn launch(&self, _order: Order, _reports: Reports) -> WorkerHandle {
        WorkerHandle::new().0
    }
}

/// Writes down what it is told.
struct Listener(watch::Sender<Vec<Notice>>);

impl Manager for Listener {
    fn watchdog(&self) -> Option<Duration> {
        Some(WATCHDOG)
    }

    fn tell(&self, notice: &Notice) {
        self.0.send_modify(|told| told.push(notice.clone()));
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Health {
    Well,
    Refuses,
    Silent,
}

/// As well as the test wants it.
struct Server(watch::Receiver<Health>);

impl Answers for Server {
    fn ask(&mut self) -> BoxFuture<'_, Result<(), Fault>> {
        let health = *self.0.borrow();
        async move {
            match health {
                Health::Well => Ok(()),
                Health::Refuses => Err(Fault::internal("the socket is gone")),
                Health::Silent => std::future::pending().await,
            }
        }
        .boxed()
    }
}

/// Runs the owner of the models while it may.
async fn while_well(owner: impl Future<Output = ()>, mut health: watch::Receiver<Health>) {
    let mut owner = pin!(owner);
    while health.wait_for(|health| *health == Health::Well).await.is_ok() {
        tokio::select! {
            // In this order: it must not answer once more when it is silent already.
            biased;
            changed = health.wait_for(|health| *health != Health::Well) => if changed.is_err() {
                return;
            },
            () = &mut owner => return,
        }
    }
}

/// A heart, what it depends on, and what it has told.
struct Patient {
    _home: tempfile::TempDir,
    heart: Option<Heart>,
    ending: Ending,
    server: watch::Sender<Health>,
    owner: watch::Sender<Health>,
    told: watch::Receiver<Vec<Notice>>,
}

impl Patient {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path().join("models"), home.path().join("builtin")).unwrap();
        let (publisher, hub) = events::hub();
        let parts = parts(
            Arc::new(Idle),
            Paperwork::default(),
            publisher,
            KeepAlive::Forever,
            Budget::default(),
        );
        let (models, actor) = Models::new(Arc::new(store), hub, parts, None);
        let (owner, owner_seen) = watch::channel(Health::Well);
        tokio::spawn(while_well(actor.run(), owner_seen));
        let (server, server_seen) = watch::channel(Health::Well);
        let (listener, told) = watch::channel(Vec::new());
        let ending = Ending::default();
        let heart = Heart {
            manager: Box::new(Listener(listener)),
            server: Box::new(Server(server_seen)),
            models,
            ending: ending.clone(),
            trouble: None,
        };
        Self {
            _home: home,
            heart: Some(heart),
            ending,
            server,
            owner,
            told,
        }
    }

    /// Goes on until the manager has been told that.
    async fn until_told(&mut self, wanted: impl Fn(&[Notice]) -> bool) -> Vec<Notice> {
        let told = self.told.wait_for(|told| wanted(told)).await.unwrap();
        told.clone()
    }

    fn lives(&mut self) -> JoinHandle<()> {
        tokio::spawn(self.heart.take().unwrap().run(PATIENCE))
    }
}

fn alive(told: &[Notice]) -> usize {
    told.iter().filter(|notice| **notice == Notice::Alive).count()
}

/// The last line for people.
fn status(told: &[Notice]) -> &str {
    let mut lines = told.iter().rev().filter_map(|notice| match notice {
        Notice::Status(line) => Some(&**line),
        Notice::Ready | Notice::Alive | Notice::Stopping(_) => None,
    });
    lines.next().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_daemon_of_which_a_part_does_not_answer_is_not_ready() {
    let mut patient = Patient::new();
    let mut heart = patient.heart.take().unwrap();
    patient.server.send_replace(Health::Refuses);
    assert!(heart.rise().await.is_err());
    patient.server.send_replace(Health::Well);
    patient.owner.send_replace(Health::Silent);
    let unanswered = tokio::time::timeout(WATCHDOG, heart.rise()).await;
    assert!(unanswered.is_err(), "{unanswered:?}");
    assert_eq!(*patient.told.borrow(), []);
    patient.owner.send_replace(Health::Well);
    heart.rise().await.unwrap();
    assert_eq!(*patient.told.borrow(), [Notice::Ready]);
}

#[tokio::test(start_paused = true)]
async fn a_watchdog_is_fed_only_while_the_owner_of_the_models_and_the_server_answer() {
    let mut patient = Patient::new();
    let life = patient.lives();
    let (server, owner) = (patient.server.clone(), patient.owner.clone());
    for (part, health, said) in [
        (&server, Health::Refuses, "the socket is gone"),
        (&server, Health::Silent, "something in it does not answer"),
        (&owner, Health::Silent, "something in it does not answer"),
    ] {
        let fed = alive(&patient.told.borrow()) + 2;
        let told = patient.until_told(|told| alive(told) >= fed).await;
        assert_eq!(status(&told), "no model in memory", "before {health:?}");
        part.send_replace(health);
        let said = format!("not well: {said}");
        let told = patient.until_told(|told| status(told) == said).await;
        // Long enough for the manager to have ended it.
        tokio::time::sleep(WATCHDOG * 5).await;
        let later = patient.told.borrow().clone();
        assert_eq!(alive(&later), alive(&told), "{health:?}: {later:?}");
        part.send_replace(Health::Well);
        let well = "no model in memory";
        patient
            .until_told(|told| alive(told) > alive(&later) && status(told) == well)
            .await;
    }
    patient.ending.ask();
    life.await.unwrap();
    assert_eq!(
        patient.told.borrow().last(),
        Some(&Notice::Stopping(PATIENCE)),
        "it says that it ends"
    );
}
