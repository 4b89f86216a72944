//! What the daemon has to say reaches the screen through the tray, and waits in its menu.

use airunner_platform::Places;
use airunner_platform::service::was_asked;
use airunner_tests::{FakeDesktop, FakeModel, eventually, send_signal};

use crate::support::{Scene, Tray};

const SIGKILL: i32 = 9;

#[tokio::test]
async fn a_crash_is_on_the_screen_and_in_the_menu_and_a_click_there_answers_both() {
    let Some(scene) = Scene::with(&[FakeModel::new("tiny")]).await else {
        return;
    };
    let (daemon, menu) = (&scene.daemon, &scene.menu);
    let screen = FakeDesktop::at(&scene.bus.address(), &["actions", "body"], None).await;
    daemon.home.cli().run(&["load", "tiny"]).await.succeeded();
    send_signal(daemon.workers()[0], SIGKILL);
    let toast = screen.until_shown("tiny").await;
    assert_eq!(toast.application, "AI Runner");
    assert!(toast.actions.contains(&"load".to_owned()), "{toast:?}");
    menu.until("Notifications (1) >").await;
    menu.click(&["Notifications", "tiny", "Load"]).await;
    daemon.until_state("tiny", Some("LOADED")).await;
    eventually("it is taken off the screen", async || {
        screen.closed().contains(&toast.number)
    })
    .await;
    eventually("it is not in the menu any more", async || {
        menu.text()
            .await
            .is_ok_and(|text| !text.contains("Notifications ("))
    })
    .await;
}

#[tokio::test]
async fn whether_to_start_at_login_is_asked_on_the_screen_once_and_no_is_the_answer() {
    const QUESTION: &str = "Start AI Runner when you log in?";
    let Some(mut scene) = Scene::with(&[FakeModel::new("tiny")]).await else {
        return;
    };
    let places = Places::under(scene.daemon.home.path());
    // Nobody can see it there yet, so the menu asks.
    scene.menu.until(&format!("{QUESTION} >")).await;
    assert!(!was_asked(&places));
    let screen = FakeDesktop::at(&scene.bus.address(), &["actions", "body"], None).await;
    let toast = screen.until_shown(QUESTION).await;
    assert_eq!(toast.actions, ["yes", "Start at login", "no", "No"]);
    eventually("the menu does not ask as well", async || {
        let text = scene.menu.text().await;
        text.is_ok_and(|text| !text.contains(QUESTION))
    })
    .await;
    assert!(was_asked(&places), "also if nobody presses anything");
    screen.press(toast.number, "no").await;
    // Another tray does not ask: what comes later is the first thing that it shows.
    send_signal(scene.tray.pid(), SIGKILL);
    scene.tray.ended().await;
    scene.tray = Tray::start(&scene.daemon.home, &scene.bus);
    let (daemon, name) = (&scene.daemon, "tiny");
    daemon.home.cli().run(&["load", name]).await.succeeded();
    send_signal(daemon.workers()[0], SIGKILL);
    screen.until_shown("tiny crashed").await;
    let titles: Vec<String> = screen.shown().into_iter().map(|toast| toast.title).collect();
    let asked = titles.iter().filter(|title| title.contains(QUESTION)).count();
    assert_eq!(asked, 1, "{titles:?}");
}
