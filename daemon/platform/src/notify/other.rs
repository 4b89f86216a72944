//! The notifications of macOS and Windows, through the system's own ways.
//!
//! There a notification answers to whoever waits for it, so each has a thread that does. One that
//! is on the screen cannot be taken back, and is not found again by a later program.

use std::sync::Arc;

use airunner_core::notification::{Closing, Notification, NotificationId, PresenterOrder, PresenterReport};
use notify_rust::{CloseReason, NotificationResponse};
use tokio::sync::{Semaphore, mpsc};

use super::NotifierOptions;

pub(super) const WORKS_WITHOUT_WINDOW: bool = cfg!(windows);

/// Notifications that wait for an answer at once.
const AT_ONCE: usize = 16;
const TOO_MANY: &str = "too many notifications are on the screen";

/// Until nobody gives orders any more.
pub(super) async fn run(
    options: NotifierOptions,
    mut orders: mpsc::Receiver<PresenterOrder>,
    reports: mpsc::Sender<PresenterReport>,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    if reports.send(PresenterReport::Able).await.is_err() {
        return;
    }
    while let Some(order) = orders.recv().await {
        let report = match order {
            PresenterOrder::Show(notification) => {
                let id = notification.id;
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    let reason = TOO_MANY.to_owned();
                    drop(reports.send(PresenterReport::Refused { id, reason }).await);
                    continue;
                };
                let (application, reports) = (options.application.clone(), reports.clone());
                let thread = std::thread::Builder::new().name("notification".to_owned());
                let shows = thread.spawn(move || {
                    show(&application, &notification, &reports);
                    drop(place);
                });
                match shows {
                    Ok(_) => continue,
                    Err(error) => PresenterReport::Refused {
                        id,
                        reason: error.to_string(),
                    },
                }
            }
            PresenterOrder::Adopt { notification, .. } => PresenterReport::Lost(notification.id),
            PresenterOrder::Withdraw(_) => continue,
        };
        drop(reports.send(report).await);
    }
}

/// Shows it and waits for what becomes of it.
fn show(application: &str, notification: &Notification, reports: &mpsc::Sender<PresenterReport>) {
    let id = notification.id;
    let mut toast = notify_rust::Notification::new();
    toast
        .appname(application)
        .summary(&notification.title)
        .body(&notification.body);
    if notification.kind.stays() {
        toast.timeout(notify_rust::Timeout::Never);
    }
    for button in &notification.buttons {
        toast.action(&button.key, &button.label);
    }
    // Who does not listen any more wants no report.
    let report = |report| drop(reports.blocking_send(report));
    let handle = match toast.show() {
        Ok(handle) => handle,
        Err(error) => {
            let reason = error.to_string();
            return report(PresenterReport::Refused { id, reason });
        }
    };
    report(PresenterReport::Shown {
        id,
        revision: notification.revision,
        handle: String::new(),
    });
    let answered = handle.wait_for_response(|response: &NotificationResponse| report(answer(id, response)));
    if answered.is_err() {
        report(PresenterReport::Closed {
            id,
            closing: Closing::Expired,
        });
    }
}

fn answer(id: NotificationId, response: &NotificationResponse) -> PresenterReport {
    let closed = |closing| PresenterReport::Closed { id, closing };
    match response {
        NotificationResponse::Action(key) => PresenterReport::Acted {
            id,
            action: key.clone(),
        },
        NotificationResponse::Default | NotificationResponse::Closed(CloseReason::Dismissed) => {
            closed(Closing::Dismissed)
        }
        NotificationResponse::Closed(_) | NotificationResponse::Reply(_) => closed(Closing::Expired),
    }
}
