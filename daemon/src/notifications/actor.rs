//! The one owner of the notifications.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use airunner_core::event::Event;
use airunner_core::job::Job;
use airunner_core::notification::{
    ActionResult, Allowance, Command, Deferral, NewNotification, Notification, NotificationId,
    NotificationState as State, Observed, Observer, Outcome, PresenterOrder, TestReport, stories,
};
use airunner_core::{ErrorKind, Fault, Moment};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::carrier::Carrier;
use super::clock::Clock;
use super::handle::Presenter;
use super::message::{Message, Session};
use super::presenters::Presenters;
use super::rules::Rules;
use crate::events::{Hub, Publisher, Watch};
use crate::storage::{NotificationRecord, Storage};

/// What was begun so long ago and cut off by the end of the daemon is not begun again: nobody
/// expects it any more.
const RESUMED: Duration = Duration::from_secs(10 * 60);
/// Shown one by one at most, if somebody asks for those that were told together.
const EACH: usize = 8;

/// What the actor is made of.
pub struct Parts {
    pub storage: Storage,
    pub hub: Hub,
    pub publisher: Publisher,
    /// Jobs that are over.
    pub jobs: broadcast::Receiver<Job>,
    pub rules: Rules,
    /// By the name of their domain.
    pub carriers: Vec<(&'static str, Arc<dyn Carrier>)>,
    pub clock: Arc<dyn Clock>,
    /// How long it may take until one that is only a test can be seen.
    pub test_time: Duration,
}

/// Somebody who waits to hear whether a notification can be seen.
pub(super) struct Tester {
    pub(super) id: NotificationId,
    pub(super) reply: oneshot::Sender<Result<TestReport, Fault>>,
    pub(super) until: Moment,
}

/// See the module.
pub struct Actor {
    pub(super) storage: Storage,
    publisher: Publisher,
    watch: Option<Watch>,
    jobs: Option<broadcast::Receiver<Job>>,
    pub(super) rules: Rules,
    carriers: HashMap<&'static str, Arc<dyn Carrier>>,
    pub(super) clock: Arc<dyn Clock>,
    started: Instant,
    observer: Observer,
    messages: mpsc::Receiver<Message>,
    /// Those that want an answer.
    pub(super) open: BTreeMap<NotificationId, NotificationRecord>,
    pub(super) presenters: Presenters,
    /// Presenters that are there; each resolves when it is gone.
    presences: FuturesUnordered<BoxFuture<'static, Session>>,
    pub(super) allowance: Allowance,
    /// Somebody is looking for these.
    pub(super) at_once: BTreeSet<NotificationId>,
    /// Given to a presenter that has not said what became of them, and when.
    pub(super) underway: BTreeMap<NotificationId, Moment>,
    /// Told by a summary that is under way.
    pub(super) covered: BTreeSet<NotificationId>,
    test_time: Duration,
    pub(super) testers: Vec<Tester>,
    /// Since when somebody could see something; before that the user was away.
    pub(super) present_since: Option<SystemTime>,
    carried: JoinSet<(NotificationId, Result<(), Fault>)>,
}

impl Actor {
    pub(super) fn new(parts: Parts, messages: mpsc::Receiver<Message>) -> Self {
        Self {
            storage: parts.storage,
            publisher: parts.publisher,
            watch: Some(parts.hub.watch()),
            jobs: Some(parts.jobs),
            observer: Observer::new(parts.rules.long),
            rules: parts.rules,
            carriers: parts.carriers.into_iter().collect(),
            clock: parts.clock,
            started: Instant::now(),
            messages,
            open: BTreeMap::new(),
            presenters: Presenters::default(),
            presences: FuturesUnordered::new(),
            allowance: Allowance::new(Moment::default()),
            at_once: BTreeSet::new(),
            underway: BTreeMap::new(),
            covered: BTreeSet::new(),
            test_time: parts.test_time,
            testers: Vec::new(),
            present_since: None,
            carried: JoinSet::new(),
        }
    }

    /// Until the end, or until every handle is gone.
    pub async fn run(mut self) {
        if let Err(fault) = self.take_up().await {
            tracing::error!(reason = %fault.kind, "earlier notifications cannot be read: {fault}");
        }
        loop {
            let wake = self.settle().await;
            tokio::select! {
                biased;
                message = self.messages.recv() => match message {
                    Some(Message::End(reply)) => {
                        // Who asked may be gone, which is fine.
                        let _ = reply.send(());
                        return;
                    }
                    Some(message) => self.handle(message).await,
                    None => return,
                },
                Some(session) = self.presences.next() => self.left(session).await,
                Some(Ok((id, outcome))) = self.carried.join_next() => self.carried(id, outcome).await,
                observed = observe(&mut self.watch, &mut self.observer, self.started, &*self.clock) => {
                    self.follow(observed).await;
                }
                job = over(&mut self.jobs) => self.job_over(&job).await,
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => {}
            }
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment::since_start(self.started.elapsed())
    }

    /// What an earlier daemon left.
    async fn take_up(&mut self) -> Result<(), Fault> {
        for record in self.storage.open_notifications().await? {
            self.publish(&record.notification);
            self.open.insert(record.notification.id, record);
        }
        // A summary that never came to a screen told nobody of anything.
        let untold: Vec<NotificationId> = self
            .open
            .values()
            .filter(|record| is_summary(record) && record.notification.state == State::Waiting)
            .map(|record| record.notification.id)
            .collect();
        for id in untold {
            self.close(id, State::Withdrawn).await?;
        }
        let since = self.clock.now().checked_sub(RESUMED);
        let since = since.unwrap_or(SystemTime::UNIX_EPOCH);
        for record in self.storage.unfinished_actions(since).await? {
            let pressed = record.notification.acted.clone().unwrap_or_default();
            if let Some(command) = command(&record, &pressed) {
                self.begin(record.notification.id, command).await?;
            }
        }
        Ok(())
    }

    async fn handle(&mut self, message: Message) {
        // Who asked may be gone, which is fine.
        match message {
            Message::Notify { new, reply } => drop(reply.send(self.notify(*new).await)),
            Message::Act { id, action, reply } => drop(reply.send(self.act(id, &action).await)),
            Message::Dismiss { id, reply } => drop(reply.send(self.dismiss(id).await)),
            Message::Test { reply } => self.test(reply).await,
            Message::Present {
                presenter,
                orders,
                gone,
                reply,
            } => drop(reply.send(self.present(presenter, orders, gone))),
            Message::Report { session, report } => self.heard(session, report).await,
            Message::SetRules(rules) => {
                self.observer.set_long(rules.long);
                self.rules = rules;
            }
            Message::End(reply) => {
                let _ = reply.send(());
            }
        }
    }

    pub(super) async fn notify(&mut self, new: NewNotification) -> Result<Option<NotificationId>, Fault> {
        let kind = new.kind;
        if !self.rules.allow(kind) {
            tracing::debug!(%kind, "a notification is not wanted");
            return Ok(None);
        }
        let now = self.clock.now();
        let record = self.storage.put_notification(new, now).await?;
        let id = record.notification.id;
        tracing::info!(%id, %kind, "a notification was made");
        self.underway.remove(&id);
        self.publish(&record.notification);
        self.open.insert(id, record);
        self.storage.prune_notifications(now).await?;
        self.forget_pruned().await?;
        Ok(Some(id))
    }

    /// Too many were open, and the oldest have had their time.
    async fn forget_pruned(&mut self) -> Result<(), Fault> {
        let open = self.storage.open_notifications().await?;
        let is_open = |id: &NotificationId| open.iter().any(|record| record.notification.id == *id);
        let gone: Vec<NotificationId> = self.open.keys().filter(|id| !is_open(id)).copied().collect();
        for id in gone {
            self.presenters.withdraw(id);
            self.refresh(id).await?;
        }
        Ok(())
    }

    /// Reads anew what was changed, and tells everybody.
    pub(super) async fn refresh(&mut self, id: NotificationId) -> Result<Option<NotificationRecord>, Fault> {
        let record = self.storage.notification(id).await?;
        if let Some(record) = &record {
            self.publish(&record.notification);
        }
        match &record {
            Some(record) if record.notification.state.is_open() => {
                self.open.insert(id, record.clone());
            }
            Some(_) | None => {
                self.open.remove(&id);
                self.at_once.remove(&id);
                self.underway.remove(&id);
                self.covered.remove(&id);
            }
        }
        Ok(record)
    }

    fn publish(&self, notification: &Notification) {
        self.publisher
            .publish(Event::NotificationChanged(Box::new(notification.clone())));
    }

    /// It wants no answer any more, for this reason.
    pub(super) async fn close(&mut self, id: NotificationId, state: State) -> Result<(), Fault> {
        if self
            .storage
            .close_notification(id, state, self.clock.now())
            .await?
        {
            tracing::debug!(%id, state = state.as_str(), "a notification is over");
            self.presenters.withdraw(id);
        }
        self.refresh(id).await?;
        Ok(())
    }

    /// To be shown, or shown anew.
    pub(super) async fn wait_again(
        &mut self,
        id: NotificationId,
        deferral: Option<Deferral>,
    ) -> Result<(), Fault> {
        let now = self.clock.now();
        self.storage.notification_waits(id, deferral, now).await?;
        self.underway.remove(&id);
        self.refresh(id).await?;
        Ok(())
    }

    async fn find(&mut self, id: NotificationId) -> Result<NotificationRecord, Fault> {
        if let Some(record) = self.open.get(&id) {
            return Ok(record.clone());
        }
        self.storage.notification(id).await?.ok_or_else(|| {
            Fault::new(
                ErrorKind::NotFound,
                format!("there is no notification {id}: it may have been forgotten"),
            )
        })
    }

    async fn dismiss(&mut self, id: NotificationId) -> Result<Notification, Fault> {
        self.find(id).await?;
        self.close(id, State::Dismissed).await?;
        Ok(self.find(id).await?.notification)
    }

    /// Presses a button: written down first, then done.
    pub(super) async fn act(&mut self, id: NotificationId, action: &str) -> Result<ActionResult, Fault> {
        let record = self.find(id).await?;
        let Some(command) = command(&record, action) else {
            let buttons = record.notification.buttons.iter();
            let keys: Vec<&str> = buttons.map(|button| &*button.key).collect();
            return Err(Fault::invalid(format!(
                "notification {id} has no action {action:?}: use one of {}",
                keys.join(", ")
            )));
        };
        let accepted = if let Command::Snooze(minutes) = command {
            self.snooze(&record, minutes).await?
        } else {
            let now = self.clock.now();
            let claimed = self
                .storage
                .claim_notification(id, action.to_owned(), now)
                .await?;
            if claimed {
                tracing::info!(%id, action, "a button was pressed");
                self.presenters.withdraw(id);
                self.refresh(id).await?;
                self.begin(id, command).await?;
            }
            claimed
        };
        Ok(ActionResult {
            notification: self.find(id).await?.notification,
            accepted,
        })
    }

    /// False if it is put off already or wants no answer any more.
    async fn snooze(&mut self, record: &NotificationRecord, minutes: u32) -> Result<bool, Fault> {
        let id = record.notification.id;
        if !record.notification.state.is_open() || record.notification.deferral.is_some() {
            return Ok(false);
        }
        let wait = Duration::from_secs(u64::from(minutes) * 60);
        self.presenters.withdraw(id);
        self.wait_again(id, Some(Deferral::new(self.clock.now(), wait)))
            .await?;
        Ok(true)
    }

    async fn begin(&mut self, id: NotificationId, command: Command) -> Result<(), Fault> {
        match command {
            Command::Acknowledge | Command::Snooze(_) => self.came_to(id, Outcome::Done).await,
            Command::ShowEach(ids) => {
                for id in ids.into_iter().rev().take(EACH) {
                    if self.open.contains_key(&id) {
                        self.wait_again(id, None).await?;
                        self.at_once.insert(id);
                    }
                }
                self.came_to(id, Outcome::Done).await
            }
            Command::Ask {
                domain,
                verb,
                argument,
            } => {
                let Some(carrier) = self.carriers.get(&*domain) else {
                    let why = format!("nobody knows what to do for {domain:?}");
                    return self.came_to(id, Outcome::Failed(why)).await;
                };
                let work = carrier.carry(&verb, &argument);
                self.carried.spawn(async move { (id, work.await) });
                Ok(())
            }
        }
    }

    async fn came_to(&mut self, id: NotificationId, outcome: Outcome) -> Result<(), Fault> {
        self.storage.notification_outcome(id, outcome).await?;
        self.refresh(id).await?;
        Ok(())
    }

    /// A domain has done what a button asked for, or could not.
    async fn carried(&mut self, id: NotificationId, outcome: Result<(), Fault>) {
        let failure = match outcome {
            // It is done at the next start.
            Err(fault) if fault.kind == ErrorKind::ShuttingDown => return,
            Err(fault) => Some(fault.message),
            Ok(()) => None,
        };
        let noted = self.note_outcome(id, failure).await;
        log(noted, "what a button did cannot be written down");
    }

    async fn note_outcome(&mut self, id: NotificationId, failure: Option<String>) -> Result<(), Fault> {
        let Some(why) = failure else {
            return self.came_to(id, Outcome::Done).await;
        };
        tracing::info!(%id, "what a button asked for could not be done: {why}");
        self.came_to(id, Outcome::Failed(why.clone())).await?;
        let record = self.find(id).await?;
        let pressed = record.notification.acted.clone().unwrap_or_default();
        let mut buttons = record.notification.buttons.iter();
        let label = buttons
            .find(|button| button.key == pressed)
            .map_or(&*pressed, |button| &*button.label);
        self.notify(stories::action_failed(&record.notification, label, &why))
            .await?;
        Ok(())
    }

    async fn follow(&mut self, observed: Vec<Observed>) {
        for one in observed {
            let done = match one {
                Observed::Notify(story) => self.notify(*story).await.map(drop),
                Observed::Withdraw(key) => self.withdraw(&key).await,
            };
            log(done, "a notification cannot be written down");
        }
    }

    async fn withdraw(&mut self, key: &str) -> Result<(), Fault> {
        let mut open = self.open.values();
        let found = open.find(|record| record.dedupe_key.as_deref() == Some(key));
        match found.map(|record| record.notification.id) {
            Some(id) => self.close(id, State::Withdrawn).await,
            None => Ok(()),
        }
    }

    async fn job_over(&mut self, job: &Job) {
        if let Some(story) = stories::job_over(job, self.rules.long) {
            let noted = self.notify(story).await;
            log(noted.map(drop), "a notification cannot be written down");
        }
    }

    async fn test(&mut self, reply: oneshot::Sender<Result<TestReport, Fault>>) {
        match self.begin_test().await {
            Ok(id) => {
                let until = self.now().plus(self.test_time);
                self.testers.push(Tester { id, reply, until });
            }
            Err(fault) => drop(reply.send(Err(fault))),
        }
    }

    async fn begin_test(&mut self) -> Result<NotificationId, Fault> {
        let id = self.notify(stories::test()).await?.ok_or_else(|| {
            Fault::new(
                ErrorKind::Unavailable,
                "notifications are switched off: set notifications.enabled to true",
            )
        })?;
        self.at_once.insert(id);
        let now = self.now();
        if let Some(seat) = self.presenters.current_mut() {
            seat.try_now(now);
        }
        Ok(id)
    }

    fn present(
        &mut self,
        presenter: Presenter,
        orders: mpsc::Sender<PresenterOrder>,
        gone: oneshot::Receiver<Infallible>,
    ) -> Result<Session, Fault> {
        let session = self.presenters.attach(presenter, orders, self.now())?;
        self.presences.push(Box::pin(async move {
            drop(gone.await);
            session
        }));
        self.present_since.get_or_insert(self.clock.now());
        if let Some(seat) = self.presenters.get_mut(session) {
            tracing::info!(presenter = seat.name(), "somebody shows notifications");
            for record in self.open.values().filter(|record| !record.handle.is_empty()) {
                seat.order(PresenterOrder::Adopt {
                    notification: Box::new(record.notification.clone()),
                    handle: record.handle.clone(),
                });
            }
        }
        Ok(session)
    }
}

/// What a button of it does.
fn command(record: &NotificationRecord, key: &str) -> Option<Command> {
    let mut buttons = record.notification.buttons.iter().zip(&record.commands);
    let (_, command) = buttons.find(|(button, _)| button.key == key)?;
    Some(command.clone())
}

pub(super) fn is_summary(record: &NotificationRecord) -> bool {
    !members(record).is_empty()
}

/// Those that a summary tells of.
pub(super) fn members(record: &NotificationRecord) -> Vec<NotificationId> {
    let each = |command: &Command| match command {
        Command::ShowEach(ids) => Some(ids.clone()),
        Command::Acknowledge | Command::Snooze(_) | Command::Ask { .. } => None,
    };
    record.commands.iter().find_map(each).unwrap_or_default()
}

/// Something that nobody waits for did not succeed.
pub(super) fn log(outcome: Result<(), Fault>, what: &str) {
    if let Err(fault) = outcome {
        tracing::warn!(reason = %fault.kind, "{what}: {fault}");
    }
}

/// What follows from the next thing that happens; never returns once nothing happens any more.
async fn observe(
    watch: &mut Option<Watch>,
    observer: &mut Observer,
    started: Instant,
    clock: &dyn Clock,
) -> Vec<Observed> {
    if let Some(next) = watch {
        if let Some(message) = next.next().await {
            let now = Moment::since_start(started.elapsed());
            return observer.observe(&message.payload, now, clock.now());
        }
        *watch = None;
    }
    std::future::pending().await
}

/// The next job that is over; never returns once there are none any more.
async fn over(jobs: &mut Option<broadcast::Receiver<Job>>) -> Job {
    while let Some(next) = jobs {
        match next.recv().await {
            Ok(job) => return job,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "jobs ended too fast to tell of each");
            }
            Err(broadcast::error::RecvError::Closed) => *jobs = None,
        }
    }
    std::future::pending().await
}
