//! Notifications from what happens in the true daemon to a button that is pressed.

#![expect(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::time::SystemTime;

use airunner_core::notification::{
    Closing, NewNotification, Notification, NotificationId, NotificationKind, PresenterOrder, PresenterReport,
};
use airunner_ipc_client::{Endpoint, present};
use airunner_platform::notify::{Notifier, NotifierOptions};
use airunner_tests::desktop::SessionBus;
use airunner_tests::{
    BY_THE_USER, Daemon, FakeDesktop, FakeModel, Home, PATIENCE, TIMED_OUT, XfceDesktop, eventually,
    send_signal,
};
use serde_json::Value;

const SIGKILL: i32 = 9;

fn notification(id: u64) -> Notification {
    let made = NewNotification::new(
        NotificationKind::WorkerCrashed,
        &format!("<b>tiny</b> crashed {id}"),
        "It ended & is gone.",
    );
    let buttons = [("load", "Load again")];
    Notification::waiting(NotificationId(id), &made, &buttons, SystemTime::UNIX_EPOCH)
}

fn notifier(bus: &SessionBus) -> Notifier {
    Notifier::start(NotifierOptions {
        bus: Some(bus.address()),
        ..NotifierOptions::default()
    })
}

async fn show(notifier: &mut Notifier, id: u64) {
    notifier
        .order(PresenterOrder::Show(Box::new(notification(id))))
        .await;
}

/// The next report that is not about whether anybody can see anything.
async fn report(notifier: &mut Notifier) -> PresenterReport {
    let next = async {
        loop {
            let report = notifier.next().await;
            if !matches!(report, PresenterReport::Able | PresenterReport::Unable(_)) {
                return report;
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.unwrap()
}

async fn ability(notifier: &mut Notifier, able: bool) -> PresenterReport {
    loop {
        let report = notifier.next().await;
        match (&report, able) {
            (PresenterReport::Able, true) | (PresenterReport::Unable(_), false) => return report,
            _ => {}
        }
    }
}

#[tokio::test]
async fn no_press_is_lost_even_if_it_comes_before_the_number_of_the_notification() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let desktop = FakeDesktop::pressing(&bus, "load").await;
    let mut notifier = notifier(&bus);
    for id in 1..=200 {
        show(&mut notifier, id).await;
        let shown = report(&mut notifier).await;
        assert!(matches!(shown, PresenterReport::Shown { .. }), "{shown:?}");
        let acted = PresenterReport::Acted {
            id: NotificationId(id),
            action: "load".into(),
        };
        assert_eq!(report(&mut notifier).await, acted, "press {id} of 200");
    }
    assert_eq!(desktop.shown().len(), 200);
}

#[tokio::test]
async fn it_looks_as_the_desktop_can_show_it() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let desktop = FakeDesktop::start(&bus).await;
    let mut notifier = notifier(&bus);
    show(&mut notifier, 1).await;
    report(&mut notifier).await;
    let toast = desktop.until_shown("crashed 1").await;
    assert_eq!(toast.application, "AI Runner");
    assert_eq!(toast.title, "<b>tiny</b> crashed 1");
    assert_eq!(toast.body, "It ended &amp; is gone.");
    assert_eq!(toast.actions, ["load", "Load again"]);
    assert_eq!(toast.timeout, 0, "it stays");
    // A newer revision takes the place of the older.
    let newer = Notification {
        revision: 2,
        ..notification(1)
    };
    notifier.order(PresenterOrder::Show(Box::new(newer))).await;
    report(&mut notifier).await;
    assert_eq!(desktop.shown()[1].replaces, toast.number);
    notifier.order(PresenterOrder::Withdraw(NotificationId(1))).await;
    eventually("it is taken away", async || desktop.closed() == [toast.number]).await;
    desktop.end().await;

    let plain = FakeDesktop::with(&bus, &["body"], None).await;
    show(&mut notifier, 2).await;
    let toast = plain.until_shown("crashed 2").await;
    assert_eq!(toast.actions, Vec::<String>::new());
    assert_eq!(toast.body, "It ended & is gone.\nairunner notify act 2 load");
}

#[tokio::test]
async fn what_leaves_the_screen_is_said_with_its_reason_and_strangers_are_not_believed() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let desktop = FakeDesktop::start(&bus).await;
    let mut notifier = notifier(&bus);
    for id in 1..=2 {
        show(&mut notifier, id).await;
        report(&mut notifier).await;
    }
    let stranger = zbus::connection::Builder::address(&*bus.address())
        .build()
        .await
        .unwrap();
    stranger
        .emit_signal(
            None::<&str>,
            "/org/freedesktop/Notifications",
            "org.freedesktop.Notifications",
            "ActionInvoked",
            &(1_u32, "load"),
        )
        .await
        .unwrap();
    desktop.press(1, "dance").await;
    desktop.close(1, TIMED_OUT).await;
    desktop.close(2, BY_THE_USER).await;
    for (id, closing) in [(1, Closing::Expired), (2, Closing::Dismissed)] {
        let closed = PresenterReport::Closed {
            id: NotificationId(id),
            closing,
        };
        assert_eq!(report(&mut notifier).await, closed);
    }
    // Who answers late is still understood.
    desktop.press(2, "load").await;
    let late = report(&mut notifier).await;
    assert!(matches!(late, PresenterReport::Acted { .. }), "{late:?}");
}

#[tokio::test]
async fn a_desktop_that_comes_goes_and_comes_again_is_noticed() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let mut notifier = notifier(&bus);
    let unable = ability(&mut notifier, false).await;
    assert_eq!(
        unable,
        PresenterReport::Unable("no program in this session shows notifications".into())
    );
    show(&mut notifier, 1).await;
    let refused = report(&mut notifier).await;
    assert!(matches!(refused, PresenterReport::Refused { .. }), "{refused:?}");

    let desktop = FakeDesktop::start(&bus).await;
    ability(&mut notifier, true).await;
    show(&mut notifier, 1).await;
    let PresenterReport::Shown { handle, .. } = report(&mut notifier).await else {
        panic!("it is shown");
    };
    // Another program finds it again, as long as that desktop lives.
    let mut other = self::notifier(&bus);
    let adopt = || PresenterOrder::Adopt {
        notification: Box::new(notification(1)),
        handle: handle.clone(),
    };
    other.order(adopt()).await;
    show(&mut other, 2).await;
    assert!(matches!(report(&mut other).await, PresenterReport::Shown { .. }));
    desktop.press(1, "load").await;
    for notifier in [&mut notifier, &mut other] {
        let acted = report(notifier).await;
        assert!(matches!(acted, PresenterReport::Acted { .. }), "{acted:?}");
    }
    show(&mut notifier, 3).await;
    report(&mut notifier).await;
    desktop.end().await;
    let lost = PresenterReport::Lost(NotificationId(3));
    assert_eq!(report(&mut notifier).await, lost);
    ability(&mut notifier, false).await;
    let again = FakeDesktop::start(&bus).await;
    ability(&mut notifier, true).await;
    show(&mut notifier, 3).await;
    again.until_shown("crashed 3").await;
    other.order(adopt()).await;
    eventually_lost(&mut other, 1).await;
}

async fn eventually_lost(notifier: &mut Notifier, id: u64) {
    while report(notifier).await != PresenterReport::Lost(NotificationId(id)) {}
}

#[tokio::test]
async fn a_bus_that_is_started_again_is_found_again() {
    let Some(mut bus) = SessionBus::bare().await else {
        return;
    };
    let desktop = FakeDesktop::start(&bus).await;
    let mut notifier = notifier(&bus);
    show(&mut notifier, 1).await;
    report(&mut notifier).await;
    bus.end().await;
    drop(desktop);
    assert_eq!(
        report(&mut notifier).await,
        PresenterReport::Lost(NotificationId(1))
    );
    show(&mut notifier, 1).await;
    let refused = report(&mut notifier).await;
    let PresenterReport::Refused { reason, .. } = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("no desktop session"), "{reason}");
    bus.start_again().await;
    let desktop = FakeDesktop::start(&bus).await;
    show(&mut notifier, 1).await;
    assert!(matches!(
        report(&mut notifier).await,
        PresenterReport::Shown { .. }
    ));
    desktop.until_shown("crashed 1").await;
}

/// A home whose programs see that bus.
fn home_on(bus: &SessionBus) -> Home {
    let mut home = Home::new();
    home.set("DBUS_SESSION_BUS_ADDRESS", bus.address());
    // However slow this machine is, nothing else is worth telling.
    home.configure("[notifications]\nlong_wait_seconds = 86400\n");
    home
}

/// What testing the notifications says, once it fits. Who shows them may not be ready at first.
async fn until_tested(daemon: &Daemon, fits: impl Fn(&Value) -> bool) -> Value {
    airunner_tests::eventually_ok("the test says so", async || {
        let test = daemon.home.cli().json(&["notify", "test"]).await;
        if fits(&test) { Ok(test) } else { Err(test) }
    })
    .await
}

fn is_shown(test: &Value) -> bool {
    test["shown"] == true
}

/// A daemon with a model whose worker can be killed while it answers.
async fn daemon_on(bus: &SessionBus) -> Daemon {
    let daemon = Daemon::start_in(home_on(bus)).await;
    let model = FakeModel::new("tiny").speaks(&["word "; 9]).hangs_after(5);
    daemon.install(&model).await;
    daemon
}

/// Kills the worker in the middle of an answer.
async fn crash(daemon: &Daemon) {
    let chat = daemon.home.cli().spawn(&["chat", "tiny", "Well?", "--json"]);
    daemon.until_state("tiny", Some("BUSY")).await;
    let pid = daemon.ps("tiny").await.unwrap()["pid"].as_u64().unwrap();
    send_signal(u32::try_from(pid).unwrap(), SIGKILL);
    chat.wait_with_output().await.unwrap();
}

async fn listed(daemon: &Daemon) -> Vec<Value> {
    let all = daemon.home.cli().json(&["notify", "list", "--all"]).await;
    all.as_array().unwrap().clone()
}

async fn until_listed(daemon: &Daemon, kind: &str, field: &str, value: &str) -> Value {
    airunner_tests::eventually_ok(&format!("{kind} with {field} {value}"), async || {
        let all = listed(daemon).await;
        let fits = |one: &&Value| one["kind"] == kind && one[field] == value;
        all.iter().find(fits).cloned().ok_or(all)
    })
    .await
}

#[tokio::test]
async fn a_crash_comes_to_the_screen_and_load_again_loads() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let desktop = FakeDesktop::start(&bus).await;
    let daemon = daemon_on(&bus).await;
    crash(&daemon).await;
    let toast = desktop.until_shown("tiny crashed").await;
    assert_eq!(toast.actions, ["load", "Load again"]);
    for _ in 0..2 {
        desktop.press(toast.number, "load").await;
    }
    daemon.until_state("tiny", Some("LOADED")).await;
    let done = until_listed(&daemon, "worker_crashed", "outcome", "done").await;
    assert_eq!(done["state"], "acted", "{done}");
    assert_eq!(done["acted"], "load", "{done}");
    eventually("it is taken off the screen", async || {
        desktop.closed().contains(&toast.number)
    })
    .await;
    let again = daemon
        .home
        .cli()
        .json(&["notify", "act", &done["id"].to_string(), "load"])
        .await;
    assert_eq!(again["accepted"], false);
    daemon.stop().await;
}

#[tokio::test]
async fn without_a_desktop_it_waits_and_says_so_and_is_shown_when_one_comes() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let daemon = daemon_on(&bus).await;
    let test = until_tested(&daemon, |test| {
        let reason = test["reason"].as_str().unwrap_or_default();
        test["presenter"] == "the daemon itself" && reason.contains("shows notifications")
    })
    .await;
    assert_eq!(test["shown"], false, "{test}");
    crash(&daemon).await;
    let waiting = until_listed(&daemon, "worker_crashed", "state", "waiting").await;
    assert_eq!(waiting["actions"][0]["key"], "load");
    // By hand, as on a machine without a screen.
    let (_, reason, message) = daemon
        .home
        .cli()
        .refusal(&["notify", "act", &waiting["id"].to_string(), "dance"])
        .await;
    assert_eq!(reason, "invalid_argument");
    assert!(message.contains("use one of load"), "{message}");
    let desktop = FakeDesktop::start(&bus).await;
    let toast = desktop.until_shown("tiny crashed").await;
    desktop.close(toast.number, BY_THE_USER).await;
    until_listed(&daemon, "worker_crashed", "state", "dismissed").await;
    until_tested(&daemon, is_shown).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_button_counts_that_is_pressed_after_the_daemon_was_killed_and_started_again() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let desktop = FakeDesktop::start(&bus).await;
    let mut daemon = daemon_on(&bus).await;
    crash(&daemon).await;
    let toast = desktop.until_shown("tiny crashed").await;
    until_listed(&daemon, "worker_crashed", "state", "shown").await;
    daemon.end_by(SIGKILL).await;
    daemon.start_again().await;
    // The presenter of the new daemon has found it when the next one is on the screen.
    until_tested(&daemon, is_shown).await;
    desktop.press(toast.number, "load").await;
    daemon.until_state("tiny", Some("LOADED")).await;
    until_listed(&daemon, "worker_crashed", "outcome", "done").await;
    assert_eq!(
        desktop
            .shown()
            .iter()
            .filter(|toast| toast.title == "tiny crashed")
            .count(),
        1,
        "it was not shown twice"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_press_while_no_daemon_runs_is_carried_out_by_the_next() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let desktop = FakeDesktop::start(&bus).await;
    // The daemon has no screen of its own here, as the tray's.
    let mut daemon = Daemon::start().await;
    let model = FakeModel::new("tiny").speaks(&["word "; 9]).hangs_after(5);
    daemon.install(&model).await;
    let status = daemon.home.cli().json(&["status"]).await;
    let endpoint = Endpoint::at(status["socket"].as_str().unwrap().into());
    let screen = notifier(&bus);
    let tray = tokio::spawn(async move { present(&endpoint, "test-tray 1.0", screen).await });
    until_tested(&daemon, |test| {
        let presenter = test["presenter"].as_str().unwrap_or_default();
        is_shown(test) && presenter.starts_with("test-tray 1.0 (process")
    })
    .await;
    crash(&daemon).await;
    let toast = desktop.until_shown("tiny crashed").await;
    until_listed(&daemon, "worker_crashed", "state", "shown").await;
    daemon.end_by(SIGKILL).await;
    desktop.press(toast.number, "load").await;
    desktop.close(toast.number, BY_THE_USER).await;
    daemon.start_again().await;
    daemon.until_state("tiny", Some("LOADED")).await;
    until_listed(&daemon, "worker_crashed", "outcome", "done").await;
    tray.abort();
    daemon.stop().await;
}

#[tokio::test]
async fn a_button_on_a_real_screen_is_pressed_with_the_pointer() {
    let Some(desktop) = XfceDesktop::start().await else {
        return;
    };
    let daemon = daemon_on(&desktop.bus).await;
    crash(&daemon).await;
    until_listed(&daemon, "worker_crashed", "state", "shown").await;
    // A notification that is still coming up may not hear the pointer yet.
    eventually("the press is heard", async || {
        desktop.press_last_button();
        daemon.ps("tiny").await.is_some()
    })
    .await;
    daemon.until_state("tiny", Some("LOADED")).await;
    let done = until_listed(&daemon, "worker_crashed", "outcome", "done").await;
    assert_eq!(done["acted"], "load", "{done}");
    eventually("it leaves the screen", async || !desktop.shows_something()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn programs_with_all_rights_answer_over_http_and_others_do_not() {
    let daemon = Daemon::start().await;
    let model = FakeModel::new("tiny").speaks(&["word "; 9]).hangs_after(5);
    daemon.install(&model).await;
    crash(&daemon).await;
    let waiting = until_listed(&daemon, "worker_crashed", "state", "waiting").await;
    let http = daemon.http().await;
    let list = http.get("/api/v1/notifications").await.ok();
    let one = &list["notifications"][0];
    assert_eq!(one["title"], "tiny crashed", "{list}");
    assert_eq!(one["id"], waiting["id"], "{list}");
    let path = format!("/api/v1/notifications/{}", one["id"]);
    let create = ["keys", "create", "phone", "--scope", "models"];
    let key = daemon.home.cli().json(&create).await;
    let phone = http.with_key(key["key"].as_str().unwrap());
    assert_eq!(phone.get("/api/v1/notifications").await.status, 403);
    assert_eq!(phone.delete(&path).await.status, 403);
    for accepted in [true, false] {
        let pressed = http
            .post(&format!("{path}/actions/load"), &Value::Null)
            .await
            .ok();
        assert_eq!(pressed["accepted"], accepted, "{pressed}");
    }
    daemon.until_state("tiny", Some("LOADED")).await;
    assert_eq!(http.delete("/api/v1/notifications/999").await.status, 404);
    let left = http.get("/api/v1/notifications").await.ok();
    assert_eq!(left["notifications"], serde_json::json!([]), "{left}");
    let all = http.get("/api/v1/notifications?all=true").await.ok();
    assert_eq!(all["notifications"][0]["state"], "acted", "{all}");
    daemon.stop().await;
}
