//! Notifications on the screen of this user.
//!
//! A [`Notifier`] is told what to show and take away, and tells what became of it: whether it is on
//! the screen, which button was pressed, whether the screen is gone. It keeps nothing for later:
//! what cannot be shown is said to whoever asked, who tries again.
//!
//! On Linux it speaks with the desktop over one connection of its own, which listens before it
//! sends; a library that opens a connection for each notification and listens afterwards loses the
//! answers of those who are quick. Elsewhere the system's own way is taken.

use std::collections::VecDeque;

use airunner_core::notification::{PresenterOrder, PresenterReport};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as os;

/// Orders and reports that may wait.
const CAPACITY: usize = 64;

/// Who shows notifications, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifierOptions {
    /// As the user knows the program.
    pub application: String,
    /// A desktop without buttons is told which command to type instead: only for what the daemon
    /// knows.
    pub hints: bool,
    /// Address of the session's D-Bus; `None`: that of the environment. Only where there is one.
    pub bus: Option<String>,
}

impl Default for NotifierOptions {
    fn default() -> Self {
        Self {
            application: "AI Runner".to_owned(),
            hints: true,
            bus: None,
        }
    }
}

/// The way to the screen. Dropping it leaves on the screen what is there.
#[derive(Debug)]
pub struct Notifier {
    orders: mpsc::Sender<PresenterOrder>,
    reports: mpsc::Receiver<PresenterReport>,
    /// Reports that came while an order was given.
    early: VecDeque<PresenterReport>,
    task: Option<JoinHandle<()>>,
}

/// The other end of a notifier without a screen, for those who test what they do with one.
#[derive(Debug)]
pub struct Script {
    pub orders: mpsc::Receiver<PresenterOrder>,
    pub reports: mpsc::Sender<PresenterReport>,
}

impl Notifier {
    /// Must be called inside a tokio runtime with its timer and input/output enabled.
    #[must_use]
    pub fn start(options: NotifierOptions) -> Self {
        let (mut notifier, script) = Self::scripted();
        notifier.task = Some(tokio::spawn(os::run(options, script.orders, script.reports)));
        notifier
    }

    /// One that does nothing by itself.
    #[must_use]
    pub fn scripted() -> (Self, Script) {
        let (orders, given) = mpsc::channel(CAPACITY);
        let (said, reports) = mpsc::channel(CAPACITY);
        let notifier = Self {
            orders,
            reports,
            early: VecDeque::new(),
            task: None,
        };
        let script = Script {
            orders: given,
            reports: said,
        };
        (notifier, script)
    }

    /// Gives an order. What it reports meanwhile is kept for [`next`](Self::next).
    pub async fn order(&mut self, order: PresenterOrder) {
        loop {
            tokio::select! {
                biased;
                // One that has ended shows nothing, and said so by its end.
                place = self.orders.reserve() => {
                    if let Ok(place) = place {
                        place.send(order);
                    }
                    return;
                }
                Some(report) = self.reports.recv() => self.early.push_back(report),
            }
        }
    }

    /// The next report; waits for ever if there will be none. Dropping the future loses nothing.
    pub async fn next(&mut self) -> PresenterReport {
        if let Some(report) = self.early.pop_front() {
            return report;
        }
        match self.reports.recv().await {
            Some(report) => report,
            None => std::future::pending().await,
        }
    }

    /// Returns when every order was obeyed; what is reported meanwhile is lost.
    pub async fn finish(mut self) {
        let (nobody, _) = mpsc::channel(1);
        self.orders = nobody;
        if let Some(task) = &mut self.task {
            drop(task.await);
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Whether a program without a window and without a loop of its own can show notifications with
/// buttons: on macOS it cannot.
#[must_use]
pub const fn works_without_window() -> bool {
    os::WORKS_WITHOUT_WINDOW
}

#[cfg(test)]
mod tests {
    use airunner_core::notification::NotificationId;

    use super::*;

    #[tokio::test]
    async fn an_order_waits_for_its_place_without_stopping_reports() {
        let (mut notifier, mut script) = Notifier::scripted();
        for id in 0..CAPACITY as u64 {
            notifier.order(PresenterOrder::Withdraw(NotificationId(id))).await;
            script
                .reports
                .send(PresenterReport::Lost(NotificationId(id)))
                .await
                .unwrap();
        }
        let full = CAPACITY as u64;
        let work = async {
            notifier
                .order(PresenterOrder::Withdraw(NotificationId(full)))
                .await;
            let mut seen = Vec::new();
            for _ in 0..=full {
                seen.push(notifier.next().await);
            }
            seen
        };
        let screen = async {
            script
                .reports
                .send(PresenterReport::Lost(NotificationId(full)))
                .await
                .unwrap();
            script.orders.recv().await
        };
        let (seen, first) = tokio::join!(work, screen);
        let expected: Vec<PresenterReport> = (0..=full)
            .map(|id| PresenterReport::Lost(NotificationId(id)))
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(first, Some(PresenterOrder::Withdraw(NotificationId(0))));
    }
}
