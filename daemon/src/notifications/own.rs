//! The daemon as its own presenter, for as long as no tray is there.

use airunner_platform::notify::{Notifier, NotifierOptions, works_without_window};

use super::handle::{Notifications, Presenter};

/// Shows notifications without the help of another program, until the notifications end.
pub async fn present_by_itself(notifications: Notifications) {
    if !works_without_window() {
        return;
    }
    let mut presentation = match notifications.present(Presenter::Itself).await {
        Ok(presentation) => presentation,
        Err(fault) => return tracing::debug!(reason = %fault.kind, "no own presenter: {fault}"),
    };
    let mut notifier = Notifier::start(NotifierOptions::default());
    loop {
        tokio::select! {
            order = presentation.orders.recv() => match order {
                Some(order) => notifier.order(order).await,
                None => return,
            },
            report = notifier.next() => presentation.reporter.report(report).await,
        }
    }
}
