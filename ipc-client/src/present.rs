//! Putting the daemon's notifications on a screen, over its restarts too.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use airunner_core::notification::{NotificationId, PresenterOrder, PresenterReport};
use airunner_core::{ErrorKind, Fault};
use airunner_platform::Endpoint;
use airunner_platform::notify::Notifier;
use airunner_proto::convert::notifications::hello;
use airunner_proto::v1;
use airunner_proto::v1::notifications_client::NotificationsClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::Client;
use crate::channel::fault;
use crate::comeback::Comeback;
use crate::events::Events;

/// Reports that may wait for a daemon that does not run.
const KEPT: usize = 256;

/// Shows the daemon's notifications with a notifier, and tells the daemon what becomes of them,
/// until the future is dropped. `name` is who shows them, such as `airunner-tray 0.1.0`.
///
/// A daemon that goes away is waited for as [`Watch`](crate::Watch) does, and another presenter
/// that is there already up to ten seconds at a time. What was pressed meanwhile is told when the daemon is back, and
/// said again until the daemon has taken it, so that no press is lost and none counts twice.
pub async fn present(endpoint: &Endpoint, name: &str, mut notifier: Notifier) -> Infallible {
    let mut news = News::default();
    let mut comeback = Comeback::new(endpoint.clone());
    loop {
        let reason = match Line::open(endpoint, name).await {
            Ok(mut line) => {
                news.start_over();
                comeback.succeeded();
                line.serve(&mut notifier, &mut news).await;
                ErrorKind::DaemonNotRunning
            }
            Err(fault) => {
                tracing::debug!(reason = %fault.kind, "notifications cannot be shown: {fault}");
                fault.kind
            }
        };
        comeback.failed(reason);
        loop {
            tokio::select! {
                () = comeback.due() => break,
                report = notifier.next() => news.add(report),
            }
        }
    }
}

/// What the daemon has to be told.
#[derive(Debug, Default)]
struct News {
    /// Whether anybody can see anything, as it was said last.
    ability: Option<PresenterReport>,
    /// What was pressed and not taken yet.
    pressed: BTreeMap<NotificationId, String>,
    waiting: VecDeque<PresenterReport>,
}

impl News {
    fn add(&mut self, report: PresenterReport) {
        match &report {
            PresenterReport::Able | PresenterReport::Unable(_) => self.ability = Some(report.clone()),
            PresenterReport::Acted { id, action } => {
                self.pressed.insert(*id, action.clone());
            }
            PresenterReport::Shown { .. }
            | PresenterReport::Refused { .. }
            | PresenterReport::Closed { .. }
            | PresenterReport::Lost(_) => {}
        }
        if self.waiting.len() == KEPT {
            // What was pressed is kept apart.
            self.waiting.pop_front();
        }
        self.waiting.push_back(report);
    }

    /// A new daemon knows nothing of what was said before.
    fn start_over(&mut self) {
        self.waiting.retain(|report| {
            !matches!(
                report,
                PresenterReport::Able | PresenterReport::Unable(_) | PresenterReport::Acted { .. }
            )
        });
        let pressed = self.pressed.iter().map(|(id, action)| PresenterReport::Acted {
            id: *id,
            action: action.clone(),
        });
        // What was pressed comes first: that it was closed then follows from it.
        for report in pressed.chain(self.ability.clone()).collect::<Vec<_>>() {
            self.waiting.push_front(report);
        }
    }

    /// What an order means for what waits.
    fn heard(&mut self, order: &PresenterOrder) {
        if let PresenterOrder::Withdraw(id) = order {
            self.pressed.remove(id);
        }
    }
}

/// One connection to a daemon that takes this presenter.
struct Line {
    reports: mpsc::Sender<v1::PresentRequest>,
    orders: Events<PresenterOrder>,
}

impl Line {
    async fn open(endpoint: &Endpoint, name: &str) -> Result<Self, Fault> {
        let channel = Client::connect(endpoint).await?.channel();
        let (reports, outgoing) = mpsc::channel(KEPT);
        // Sent before the call, which may be answered only after its first message. The channel
        // is empty, so there is room.
        drop(reports.try_send(hello(name)));
        let mut client =
            NotificationsClient::new(channel).max_decoding_message_size(airunner_proto::MAX_MESSAGE_BYTES);
        let answer = client.present(ReceiverStream::new(outgoing)).await;
        let orders = answer.map_err(|status| fault(&status))?.into_inner();
        Ok(Self {
            reports,
            orders: Events::new(orders, |_| false),
        })
    }

    /// Until the daemon goes away.
    async fn serve(&mut self, notifier: &mut Notifier, news: &mut News) {
        loop {
            while let Some(report) = news.waiting.pop_front() {
                if self.reports.send(report.into()).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                order = self.orders.next() => match order {
                    Some(Ok(order)) => {
                        news.heard(&order);
                        notifier.order(order).await;
                    }
                    Some(Err(fault)) => {
                        tracing::debug!(reason = %fault.kind, "the daemon is gone: {fault}");
                        return;
                    }
                    None => return,
                },
                report = notifier.next() => news.add(report),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use airunner_core::notification::Closing;

    use super::*;

    fn acted(id: u64) -> PresenterReport {
        PresenterReport::Acted {
            id: NotificationId(id),
            action: "load".into(),
        }
    }

    fn closed(id: u64) -> PresenterReport {
        PresenterReport::Closed {
            id: NotificationId(id),
            closing: Closing::Dismissed,
        }
    }

    #[test]
    fn what_was_pressed_is_said_to_every_daemon_until_one_has_taken_it() {
        let mut news = News::default();
        for report in [
            PresenterReport::Able,
            acted(1),
            closed(2),
            PresenterReport::Unable("x".into()),
        ] {
            news.add(report);
        }
        for _ in 0..2 {
            news.start_over();
            let said: Vec<PresenterReport> = news.waiting.iter().cloned().collect();
            assert_eq!(said, [PresenterReport::Unable("x".into()), acted(1), closed(2)]);
        }
        news.heard(&PresenterOrder::Withdraw(NotificationId(1)));
        news.start_over();
        assert!(!news.waiting.contains(&acted(1)), "{news:?}");
    }

    #[test]
    fn what_waits_is_bounded_and_what_was_pressed_is_never_dropped() {
        let mut news = News::default();
        news.add(acted(1));
        for id in 0..1000 {
            news.add(closed(id));
        }
        assert_eq!(news.waiting.len(), KEPT);
        news.start_over();
        assert_eq!(news.waiting.front(), Some(&acted(1)));
    }
}
