//! The one question that is asked on the screen: whether AI Runner is to start at login.
//!
//! Nobody is asked twice: from the moment the question is to be seen the answer is no, unless
//! somebody presses yes. Where nothing shows notifications the menu asks.

use std::time::SystemTime;

use airunner_core::notification::{
    NewNotification, Notification, NotificationId, NotificationKind, PresenterOrder, PresenterReport,
};
use airunner_platform::Places;
use airunner_platform::notify::{Notifier, NotifierOptions};
use airunner_platform::service::remember_answer;
use tokio::sync::{mpsc, oneshot};

use crate::controller::Input;
use crate::view::{Action, Command};

/// The daemon does not know it, so it cannot be one of the daemon's.
const ID: NotificationId = NotificationId(0);
const YES: &str = "yes";
const NO: &str = "no";

/// What asks. The daemon's commands cannot answer it.
pub(crate) fn notifier() -> Notifier {
    Notifier::start(NotifierOptions {
        hints: false,
        ..NotifierOptions::default()
    })
}

/// Asks as soon as somebody can see it, and passes the answer on. Takes the question back when it
/// was answered elsewhere.
pub(crate) async fn ask(
    mut notifier: Notifier,
    places: Places,
    inputs: mpsc::Sender<Input>,
    mut settled: oneshot::Receiver<()>,
) {
    let mut seen = false;
    loop {
        let report = tokio::select! {
            report = notifier.next() => report,
            _ = &mut settled => {
                notifier.order(PresenterOrder::Withdraw(ID)).await;
                return notifier.finish().await;
            }
        };
        // Without a receiver the tray has ended.
        match report {
            PresenterReport::Able if !seen => {
                let question = Box::new(question(SystemTime::now()));
                notifier.order(PresenterOrder::Show(question)).await;
            }
            PresenterReport::Shown { .. } => {
                seen = true;
                if let Err(error) = remember_answer(&places, false) {
                    tracing::warn!("that the user was asked cannot be remembered: {error}");
                }
                drop(inputs.send(Input::Asked).await);
            }
            PresenterReport::Acted { action, .. } => {
                let command = if action == YES {
                    Command::SetLogin(true)
                } else {
                    Command::DeclineLogin
                };
                drop(inputs.send(Input::Clicked(Action::Ask(command))).await);
                return;
            }
            PresenterReport::Closed { .. } | PresenterReport::Lost(_) => return,
            // It is tried again when somebody can see something.
            PresenterReport::Able | PresenterReport::Unable(_) | PresenterReport::Refused { .. } => {}
        }
    }
}

fn question(now: SystemTime) -> Notification {
    let made = NewNotification::new(
        NotificationKind::StartAtLogin,
        "Start AI Runner when you log in?",
        "If you do not answer it does not. \"Start at login\" in its menu changes that at any time.",
    );
    let buttons = [(YES, "Start at login"), (NO, "No")];
    Notification::waiting(ID, &made, &buttons, now)
}

#[cfg(test)]
mod tests {
    use airunner_core::notification::Closing;
    use airunner_platform::notify::Script;
    use airunner_platform::service::was_asked;

    use super::*;

    struct Scene {
        home: tempfile::TempDir,
        screen: Script,
        inputs: mpsc::Receiver<Input>,
        settle: Option<oneshot::Sender<()>>,
        asking: tokio::task::JoinHandle<()>,
    }

    impl Scene {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let (notifier, screen) = Notifier::scripted();
            let (sender, inputs) = mpsc::channel(8);
            let (settle, settled) = oneshot::channel();
            let places = Places::under(home.path());
            let asking = tokio::spawn(ask(notifier, places, sender, settled));
            Self {
                home,
                screen,
                inputs,
                settle: Some(settle),
                asking,
            }
        }

        async fn says(&self, report: PresenterReport) {
            self.screen.reports.send(report).await.unwrap();
        }

        /// The question comes to the screen.
        async fn shows(&mut self) -> Notification {
            self.says(PresenterReport::Able).await;
            let Some(PresenterOrder::Show(question)) = self.screen.orders.recv().await else {
                panic!("it is to be shown")
            };
            *question
        }

        async fn is_seen(&mut self) {
            let shown = PresenterReport::Shown {
                id: ID,
                revision: 1,
                handle: String::new(),
            };
            self.says(shown).await;
            assert!(matches!(self.inputs.recv().await, Some(Input::Asked)));
        }

        fn was_asked(&self) -> bool {
            was_asked(&Places::under(self.home.path()))
        }
    }

    #[tokio::test]
    async fn who_has_seen_the_question_was_asked_and_a_button_answers() {
        for (button, command) in [(0, Command::SetLogin(true)), (1, Command::DeclineLogin)] {
            let mut scene = Scene::new();
            let nobody = PresenterReport::Unable("no program shows notifications".to_owned());
            scene.says(nobody).await;
            let question = scene.shows().await;
            assert!(!scene.was_asked(), "nobody has seen it");
            scene.is_seen().await;
            assert!(scene.was_asked());
            let action = question.buttons[button].key.clone();
            scene.says(PresenterReport::Acted { id: ID, action }).await;
            let Some(Input::Clicked(Action::Ask(asked))) = scene.inputs.recv().await else {
                panic!("it is a click")
            };
            assert_eq!(asked, command);
            scene.asking.await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_that_cannot_be_shown_is_tried_again_and_one_that_is_closed_is_not() {
        let mut scene = Scene::new();
        scene.shows().await;
        let reason = "it crashed".to_owned();
        scene.says(PresenterReport::Refused { id: ID, reason }).await;
        scene.shows().await;
        assert!(!scene.was_asked(), "nobody has seen it");
        scene.is_seen().await;
        scene.says(PresenterReport::Able).await;
        let closing = Closing::Dismissed;
        scene.says(PresenterReport::Closed { id: ID, closing }).await;
        scene.asking.await.unwrap();
        assert!(scene.inputs.recv().await.is_none(), "no is the answer");
        assert_eq!(scene.screen.orders.recv().await, None, "it is not asked again");
    }

    #[tokio::test]
    async fn it_goes_when_it_was_answered_elsewhere() {
        let mut scene = Scene::new();
        scene.shows().await;
        scene.is_seen().await;
        drop(scene.settle.take());
        let order = scene.screen.orders.recv().await;
        assert_eq!(order, Some(PresenterOrder::Withdraw(ID)));
        scene.asking.await.unwrap();
        assert!(scene.inputs.recv().await.is_none());
    }
}
