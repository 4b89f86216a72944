//! What the daemon has to say reaches the screen through the tray, and waits in its menu.

use airunner_tests::{FakeDesktop, FakeModel, eventually, send_signal};

use crate::support::Scene;

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
