use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use airunner_core::event::Event;
use airunner_core::lifecycle::{Cause, StateName, UnloadReason};
use airunner_core::model::{Model, ModelKind, Source};
use airunner_core::notification::{
    Action, Closing, Command, NewNotification, Notification, NotificationId, NotificationKind as Kind,
    NotificationState as State, Outcome, PresenterOrder, PresenterReport,
};
use airunner_core::{ErrorKind, Fault, ModelName};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::*;
use crate::events::{self, Publisher};
use crate::storage::Storage;

/// Longer than anything takes on a busy machine; reached only by a defect.
const PATIENCE: Duration = Duration::from_secs(300);
const NOON: u16 = 12 * 60;
const MIDNIGHT: u16 = 0;

/// A clock that stands still until it is put on.
struct FakeClock {
    seconds: AtomicU64,
    minute: AtomicU16,
}

impl Clock for FakeClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds.load(Ordering::SeqCst))
    }

    fn minute_of_day(&self) -> u16 {
        self.minute.load(Ordering::SeqCst)
    }
}

/// Does nothing, as often as it is asked.
#[derive(Default)]
struct FakeCarrier {
    asked: Mutex<Vec<String>>,
}

impl Carrier for FakeCarrier {
    fn carry(&self, verb: &str, argument: &str) -> Carrying {
        self.asked.lock().unwrap().push(format!("{verb} {argument}"));
        match verb {
            "fail" => Box::pin(std::future::ready(Err(Fault::new(
                ErrorKind::OutOfMemory,
                "there is no room",
            )))),
            "hang" => Box::pin(std::future::pending()),
            _ => Box::pin(std::future::ready(Ok(()))),
        }
    }
}

struct Desk {
    _home: tempfile::TempDir,
    storage: Storage,
    clock: Arc<FakeClock>,
    carrier: Arc<FakeCarrier>,
    publisher: Publisher,
    notifications: Notifications,
    actor: JoinHandle<()>,
    rules: Rules,
}

fn begin(
    storage: &Storage,
    clock: &Arc<FakeClock>,
    carrier: &Arc<FakeCarrier>,
    rules: &Rules,
) -> (Publisher, Notifications, JoinHandle<()>) {
    let (publisher, hub) = events::hub();
    let (_, jobs) = broadcast::channel(1);
    let parts = Parts {
        storage: storage.clone(),
        hub,
        publisher: publisher.clone(),
        jobs,
        rules: rules.clone(),
        carriers: vec![("fake", Arc::<FakeCarrier>::clone(carrier))],
        clock: Arc::<FakeClock>::clone(clock),
        test_time: PATIENCE,
    };
    let (notifications, actor) = Notifications::new(parts);
    (publisher, notifications, tokio::spawn(actor.run()))
}

impl Desk {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Rules)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let storage = Storage::open(&home.path().join("airunner.db")).unwrap();
        let clock = Arc::new(FakeClock {
            seconds: AtomicU64::new(1_700_000_000),
            minute: AtomicU16::new(NOON),
        });
        let carrier = Arc::new(FakeCarrier::default());
        let mut rules = Rules {
            enabled: true,
            disabled: Vec::new(),
            quiet_hours: None,
            long: Duration::from_secs(20),
        };
        change(&mut rules);
        let (publisher, notifications, actor) = begin(&storage, &clock, &carrier, &rules);
        Self {
            _home: home,
            storage,
            clock,
            carrier,
            publisher,
            notifications,
            actor,
            rules,
        }
    }

    /// The daemon ends and is started again.
    async fn restart(&mut self) {
        self.notifications.end().await;
        (&mut self.actor).await.unwrap();
        (self.publisher, self.notifications, self.actor) =
            begin(&self.storage, &self.clock, &self.carrier, &self.rules);
    }

    async fn notify(&self, new: NewNotification) -> NotificationId {
        self.notifications.notify(new).await.unwrap().unwrap()
    }

    async fn screen(&self) -> Screen {
        Screen::attach(&self.notifications, "tray").await.unwrap()
    }

    async fn find(&self, id: NotificationId) -> Notification {
        self.storage.notification(id).await.unwrap().unwrap().notification
    }

    async fn until(&self, id: NotificationId, what: &str, holds: impl Fn(&Notification) -> bool) {
        let look = async {
            while !holds(&self.find(id).await) {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, look).await.is_err() {
            panic!("{id} is never {what}: {:?}", self.find(id).await);
        }
    }

    async fn until_state(&self, id: NotificationId, state: State) {
        self.until(id, state.as_str(), |one| one.state == state).await;
    }

    /// Puts the clock on, and lets the daemon look at it.
    async fn later(&self, seconds: i64) {
        let now = self.clock.seconds.load(Ordering::SeqCst);
        self.clock
            .seconds
            .store(now.saturating_add_signed(seconds), Ordering::SeqCst);
        self.look().await;
    }

    async fn at(&self, minute: u16) {
        self.clock.minute.store(minute, Ordering::SeqCst);
        self.look().await;
    }

    async fn look(&self) {
        self.notifications.set_rules(self.rules.clone()).await;
    }

    fn asked(&self) -> Vec<String> {
        self.carrier.asked.lock().unwrap().clone()
    }
}

/// A presenter by hand.
struct Screen {
    presentation: Presentation,
}

impl Screen {
    async fn attach(notifications: &Notifications, name: &str) -> Result<Self, Fault> {
        let presenter = Presenter::Program {
            name: name.to_owned(),
            pid: Some(7),
        };
        let presentation = notifications.present(presenter).await?;
        Ok(Self { presentation })
    }

    async fn order(&mut self) -> PresenterOrder {
        tokio::time::timeout(PATIENCE, self.presentation.orders.recv())
            .await
            .expect("an order comes")
            .expect("the daemon runs")
    }

    fn is_idle(&mut self) -> bool {
        self.presentation.orders.try_recv().is_err()
    }

    async fn say(&self, report: PresenterReport) {
        self.presentation.reporter.report(report).await;
    }

    /// The next notification, put on the screen.
    async fn show(&mut self) -> Notification {
        let PresenterOrder::Show(notification) = self.order().await else {
            panic!("it is to be shown");
        };
        let (id, revision) = (notification.id, notification.revision);
        let handle = format!("bus/:1.5/{id}");
        self.say(PresenterReport::Shown { id, revision, handle }).await;
        *notification
    }

    async fn press(&self, id: NotificationId, action: &str) {
        let action = action.to_owned();
        self.say(PresenterReport::Acted { id, action }).await;
    }
}

fn new(title: &str, verb: &str) -> NewNotification {
    NewNotification::new(Kind::WorkerCrashed, title, "It can be helped.")
        .with(Action::new("help", "Help", Command::ask("fake", verb, "it")))
        .with(Action::snooze(1))
}

#[tokio::test]
async fn what_happens_while_nobody_looks_waits_and_is_told_together() {
    let desk = Desk::new();
    let mut ids = Vec::new();
    for number in 1..=5 {
        ids.push(desk.notify(new(&format!("thing {number}"), "do")).await);
    }
    desk.later(60).await;
    let mut screen = desk.screen().await;
    let summary = screen.show().await;
    assert_eq!(summary.kind, Kind::Summary);
    assert_eq!(summary.title, "5 things happened while you were away");
    assert!(summary.body.starts_with("thing 5\n"), "{}", summary.body);
    for id in &ids {
        desk.until_state(*id, State::Shown).await;
    }
    screen.press(summary.id, "show").await;
    assert_eq!(screen.order().await, PresenterOrder::Withdraw(summary.id));
    let mut shown = Vec::new();
    while shown.len() < 5 {
        match screen.order().await {
            PresenterOrder::Show(notification) => shown.push(notification.id),
            PresenterOrder::Withdraw(id) => assert_eq!(id, summary.id),
            order @ PresenterOrder::Adopt { .. } => panic!("{order:?}"),
        }
    }
    shown.sort_unstable();
    assert_eq!(shown, ids);
}

#[tokio::test]
async fn a_few_are_shown_one_by_one_and_a_press_counts_once() {
    let desk = Desk::new();
    let mut screen = desk.screen().await;
    let id = desk.notify(new("one", "do")).await;
    assert_eq!(screen.show().await.title, "one");
    for _ in 0..3 {
        screen.press(id, "help").await;
    }
    let late = desk.notifications.act(id, "help".to_owned()).await.unwrap();
    assert!(!late.accepted);
    desk.until(id, "done", |one| one.outcome == Some(Outcome::Done))
        .await;
    assert_eq!(desk.asked(), ["do it"]);
    assert_eq!(screen.order().await, PresenterOrder::Withdraw(id));
    let other = desk.notifications.act(id, "dance".to_owned()).await.unwrap_err();
    assert_eq!(other.kind, ErrorKind::InvalidArgument);
    assert!(other.message.contains("help, snooze:1"), "{other}");
}

#[tokio::test]
async fn what_could_not_be_done_is_told() {
    let desk = Desk::new();
    let mut screen = desk.screen().await;
    let id = desk.notify(new("one", "fail")).await;
    screen.show().await;
    screen.press(id, "help").await;
    let failed = Outcome::Failed("there is no room".to_owned());
    desk.until(id, "failed", |one| one.outcome.as_ref() == Some(&failed))
        .await;
    let told = loop {
        if let PresenterOrder::Show(told) = screen.order().await {
            break told;
        }
    };
    assert_eq!(
        (told.kind, &*told.title),
        (Kind::ActionFailed, "Help: that did not work")
    );
    assert!(told.body.contains("there is no room"), "{}", told.body);
}

#[tokio::test]
async fn what_was_begun_when_the_daemon_ended_is_done_by_the_next() {
    let mut desk = Desk::new();
    let id = desk.notify(new("one", "hang")).await;
    assert!(
        desk.notifications
            .act(id, "help".to_owned())
            .await
            .unwrap()
            .accepted
    );
    desk.restart().await;
    let look = async {
        while desk.asked().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap();
    assert_eq!(desk.asked(), ["hang it", "hang it"]);
    assert_eq!(desk.find(id).await.outcome, None);
    // Nobody expects it any more after a day.
    desk.later(86_400).await;
    desk.restart().await;
    desk.until(id, "given up", |one| {
        matches!(one.outcome, Some(Outcome::Failed(_)))
    })
    .await;
    assert_eq!(desk.asked().len(), 2);
}

#[tokio::test]
async fn one_that_was_on_a_screen_is_answered_after_a_restart_and_to_another_presenter() {
    let mut desk = Desk::new();
    let mut screen = desk.screen().await;
    let id = desk.notify(new("one", "do")).await;
    screen.show().await;
    desk.until_state(id, State::Shown).await;
    desk.restart().await;
    let mut next = desk.screen().await;
    let PresenterOrder::Adopt { notification, handle } = next.order().await else {
        panic!("it is on a screen already");
    };
    assert_eq!((notification.id, &*handle), (id, "bus/:1.5/1"));
    next.press(id, "help").await;
    desk.until(id, "done", |one| one.outcome == Some(Outcome::Done))
        .await;
    assert_eq!(desk.asked(), ["do it"]);
}

#[tokio::test]
async fn there_is_one_presenter_and_the_next_when_it_is_gone() {
    let desk = Desk::new();
    let itself = desk.notifications.present(Presenter::Itself).await.unwrap();
    let first = desk.screen().await;
    let refused = Screen::attach(&desk.notifications, "other").await.err().unwrap();
    assert_eq!(refused.kind, ErrorKind::Busy);
    assert!(refused.message.contains("tray (process 7)"), "{refused}");
    drop(first);
    let mut second = loop {
        match Screen::attach(&desk.notifications, "other").await {
            Ok(screen) => break screen,
            Err(fault) => assert_eq!(fault.kind, ErrorKind::Busy),
        }
        tokio::task::yield_now().await;
    };
    desk.notify(new("one", "do")).await;
    assert_eq!(second.show().await.title, "one");
    assert!(itself.orders.is_empty());
}

#[tokio::test]
async fn the_daemon_shows_by_itself_what_a_dead_presenter_had_not() {
    let desk = Desk::new();
    let mut itself = Screen {
        presentation: desk.notifications.present(Presenter::Itself).await.unwrap(),
    };
    let mut tray = desk.screen().await;
    let id = desk.notify(new("one", "do")).await;
    assert!(matches!(tray.order().await, PresenterOrder::Show(_)));
    drop(tray);
    assert_eq!(itself.show().await.id, id);
    desk.until_state(id, State::Shown).await;
}

#[tokio::test]
async fn a_screen_that_is_gone_makes_it_wait_for_another() {
    let desk = Desk::new();
    let mut screen = desk.screen().await;
    let id = desk.notify(new("one", "do")).await;
    screen.show().await;
    screen.say(PresenterReport::Lost(id)).await;
    loop {
        if let PresenterOrder::Show(again) = screen.order().await {
            assert_eq!((again.id, again.revision), (id, 2));
            break;
        }
    }
}

#[tokio::test]
async fn nothing_appears_in_quiet_hours_and_all_of_it_afterwards() {
    let desk = Desk::with(|rules| rules.quiet_hours = "22:00-07:00".parse().ok());
    desk.at(MIDNIGHT).await;
    let mut screen = desk.screen().await;
    let id = desk.notify(new("one", "do")).await;
    desk.later(3600).await;
    assert_eq!(desk.find(id).await.state, State::Waiting);
    assert!(screen.is_idle());
    desk.at(7 * 60).await;
    assert_eq!(screen.show().await.id, id);
}

#[tokio::test]
async fn a_test_is_seen_also_in_quiet_hours_and_says_so() {
    let desk = Desk::with(|rules| rules.quiet_hours = "22:00-07:00".parse().ok());
    desk.at(MIDNIGHT).await;
    let nobody = desk.notifications.test().await.unwrap();
    assert_eq!((nobody.shown, nobody.presenter), (false, None));
    assert!(nobody.reason.contains("nobody shows"), "{}", nobody.reason);
    desk.notifications.dismiss(nobody.notification.id).await.unwrap();
    let mut screen = desk.screen().await;
    let (report, shown) = tokio::join!(desk.notifications.test(), screen.show());
    let report = report.unwrap();
    assert_eq!((report.shown, report.notification.id), (true, shown.id));
    assert_eq!(report.presenter.as_deref(), Some("tray (process 7)"));
    assert_eq!(shown.kind, Kind::Test);
}

#[tokio::test]
async fn a_screen_that_cannot_show_is_named_with_its_reason_and_tried_again() {
    let desk = Desk::new();
    let mut screen = desk.screen().await;
    let refuse = async {
        let PresenterOrder::Show(one) = screen.order().await else {
            panic!("it is to be shown");
        };
        let reason = "no program shows notifications".to_owned();
        screen.say(PresenterReport::Refused { id: one.id, reason }).await;
    };
    let (report, ()) = tokio::join!(desk.notifications.test(), refuse);
    let report = report.unwrap();
    assert_eq!(
        (report.shown, &*report.reason),
        (false, "no program shows notifications")
    );
    let id = desk.notify(new("one", "do")).await;
    desk.look().await;
    assert!(screen.is_idle(), "it is not asked again and again");
    let again = tokio::join!(desk.notifications.test(), async {
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.push(screen.show().await.id);
        }
        seen
    });
    assert!(again.0.unwrap().shown && again.1.contains(&id));
}

#[tokio::test]
async fn later_is_by_the_clock_of_the_machine_and_a_clock_put_back_is_no_longer_wait() {
    let desk = Desk::new();
    let mut screen = desk.screen().await;
    for jump in [61, -3600] {
        let id = desk.notify(new("one", "do")).await;
        let first = screen.show().await;
        screen.press(id, "snooze:1").await;
        assert_eq!(screen.order().await, PresenterOrder::Withdraw(id));
        desk.until(id, "put off", |one| one.deferral.is_some()).await;
        desk.later(30).await;
        assert_eq!(desk.find(id).await.state, State::Waiting);
        desk.later(jump).await;
        let again = loop {
            if let PresenterOrder::Show(again) = screen.order().await {
                break again;
            }
        };
        assert_eq!((again.id, again.revision), (id, first.revision + 1));
        desk.notifications.dismiss(id).await.unwrap();
        while !screen.is_idle() {}
    }
}

#[tokio::test]
async fn what_has_had_its_time_goes_also_when_the_clock_jumps() {
    let desk = Desk::new();
    let mut screen = desk.screen().await;
    let id = desk
        .notify(new("one", "do").lasting(Duration::from_secs(600)))
        .await;
    screen.show().await;
    desk.until_state(id, State::Shown).await;
    desk.later(-100_000).await;
    desk.later(100_000).await;
    assert_eq!(desk.find(id).await.state, State::Shown);
    desk.later(100_000).await;
    assert_eq!(screen.order().await, PresenterOrder::Withdraw(id));
    desk.until_state(id, State::Expired).await;
    let late = desk.notifications.act(id, "help".to_owned()).await.unwrap();
    assert!(!late.accepted);
    assert_eq!(desk.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn one_that_is_closed_wants_no_answer_and_one_that_fades_still_does() {
    let desk = Desk::new();
    let mut screen = desk.screen().await;
    for (closing, state) in [
        (Closing::Expired, State::Shown),
        (Closing::Dismissed, State::Dismissed),
    ] {
        let id = desk.notify(new("one", "do")).await;
        screen.show().await;
        desk.until_state(id, State::Shown).await;
        screen.say(PresenterReport::Closed { id, closing }).await;
        desk.until_state(id, state).await;
        // Who closed it by mistake can still ask for it by hand.
        assert!(
            desk.notifications
                .act(id, "help".to_owned())
                .await
                .unwrap()
                .accepted
        );
        while !screen.is_idle() {}
    }
    assert_eq!(desk.asked(), ["do it", "do it"]);
}

#[tokio::test]
async fn nobody_is_told_what_is_switched_off() {
    let desk = Desk::with(|rules| rules.disabled = vec![Kind::WorkerCrashed]);
    assert_eq!(desk.notifications.notify(new("one", "do")).await.unwrap(), None);
    let off = Desk::with(|rules| rules.enabled = false);
    let fault = off.notifications.test().await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Unavailable);
    assert!(off.notifications.list(true).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_crash_in_the_daemon_is_told_once_under_one_number() {
    let desk = Desk::new();
    let mut screen = desk.screen().await;
    let changed = |state, cause, message: &str| Event::ModelChanged {
        model: Box::new(Model {
            name: ModelName::new("tiny").unwrap(),
            kind: ModelKind::Llm,
            state,
            size_bytes: 0,
            source: Source::Builtin,
            instance: None,
            last_unload_reason: None,
            waiting_requests: 0,
        }),
        from: StateName::Unloaded,
        cause,
        message: message.to_owned(),
    };
    let mut ids = Vec::new();
    for _ in 0..2 {
        desk.publisher
            .publish(changed(StateName::Busy, Cause::Loaded, ""));
        desk.publisher.publish(changed(
            StateName::Unloaded,
            Cause::Unload(UnloadReason::WorkerCrashed),
            "it was ended by <b>signal 9</b>",
        ));
        let told = screen.show().await;
        assert_eq!((told.kind, &*told.title), (Kind::WorkerCrashed, "tiny crashed"));
        assert_eq!(told.buttons[0].key, "load");
        desk.until(told.id, "shown", |one| {
            one.state == State::Shown && one.revision == told.revision
        })
        .await;
        ids.push(told.id);
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(desk.notifications.list(false).await.unwrap().len(), 1);
}
