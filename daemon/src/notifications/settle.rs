//! What is to be done by itself: showing what waits, ending what has had its time.

use std::time::Duration;

use airunner_core::notification::{
    NotificationId, NotificationState as State, PresenterOrder, Waiting, plan, stories,
};
use airunner_core::{Fault, Moment};

use super::actor::{Actor, is_summary, log, members};

/// A presenter that has said nothing for so long may be given it again.
const UNSAID: Duration = Duration::from_secs(30);
/// The clock on the wall is looked at so often while something depends on it: it may jump, and
/// the machine may sleep.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// The same while nothing is to be shown.
const LOOK_SELDOM: Duration = Duration::from_secs(10 * 60);
const NOBODY: &str = "nobody shows notifications: no desktop session is known, and no tray runs";
const SILENT: &str = "the presenter does not answer";

impl Actor {
    /// Does what is due. Returns when to look again although nothing happens; `None`: never.
    pub(super) async fn settle(&mut self) -> Option<Duration> {
        log(self.expire().await, "a notification cannot be ended");
        let now = self.now();
        self.give_up_waiting(now).await;
        let again = match self.show_due(now).await {
            Ok(again) => again,
            Err(fault) => {
                tracing::warn!(reason = %fault.kind, "notifications cannot be shown: {fault}");
                Some(LOOK_AGAIN)
            }
        };
        let testers = self.hurry_testers(now);
        let waits = self
            .open
            .values()
            .any(|record| record.notification.state == State::Waiting);
        let look = if waits {
            Some(LOOK_AGAIN)
        } else {
            (!self.open.is_empty()).then_some(LOOK_SELDOM)
        };
        [again, testers, look].into_iter().flatten().min()
    }

    /// A presenter that does not say what became of one did not show it.
    async fn give_up_waiting(&mut self, now: Moment) {
        let unsaid: Vec<NotificationId> = self
            .underway
            .iter()
            .filter(|(_, since)| now.since(**since) >= UNSAID)
            .map(|(id, _)| *id)
            .collect();
        for id in unsaid {
            self.underway.remove(&id);
            log(self.untell(id).await, "a notification cannot be taken back");
        }
    }

    /// Those whose time is over.
    async fn expire(&mut self) -> Result<(), Fault> {
        let now = self.clock.now();
        let over: Vec<NotificationId> = self
            .open
            .values()
            .filter(|record| record.notification.deadline <= now)
            .map(|record| record.notification.id)
            .collect();
        for id in over {
            self.close(id, State::Expired).await?;
        }
        Ok(())
    }

    /// Those that wait and whose time has come, the oldest first.
    fn due(&self) -> Vec<Waiting> {
        let now = self.clock.now();
        let is_due = |record: &&crate::storage::NotificationRecord| {
            let one = &record.notification;
            one.state == State::Waiting
                && !is_summary(record)
                && !self.underway.contains_key(&one.id)
                && !self.covered.contains(&one.id)
                && one
                    .deferral
                    .is_none_or(|deferral| deferral.remaining(now).is_none())
        };
        let due = self.open.values().filter(is_due);
        due.map(|record| Waiting {
            id: record.notification.id,
            at_once: self.at_once.contains(&record.notification.id),
        })
        .collect()
    }

    async fn show_due(&mut self, now: Moment) -> Result<Option<Duration>, Fault> {
        let due = self.due();
        let next = self.next_deferral();
        let earlier = |again: Option<Duration>| [again, next].into_iter().flatten().min();
        if due.is_empty() || !self.rules.enabled {
            return Ok(next);
        }
        let Some(seat) = self.presenters.current() else {
            return Ok(next);
        };
        if seat.is_dead() {
            return Ok(earlier(Some(LOOK_AGAIN)));
        }
        if seat.hindrance(now).is_some() {
            return Ok(earlier(Some(seat.wait(now))));
        }
        let quiet = self.rules.is_quiet(self.clock.minute_of_day());
        let mut allowance = self.allowance;
        let plan = plan(&due, quiet, &mut allowance, now);
        self.allowance = allowance;
        for id in plan.show {
            self.show(id, now);
        }
        if !plan.together.is_empty() {
            self.show_together(plan.together, now).await?;
        }
        Ok(earlier(plan.again_in))
    }

    /// Until the next that was put off is to be shown.
    fn next_deferral(&self) -> Option<Duration> {
        let now = self.clock.now();
        let deferrals = self
            .open
            .values()
            .filter_map(|record| record.notification.deferral);
        deferrals.filter_map(|deferral| deferral.remaining(now)).min()
    }

    fn show(&mut self, id: NotificationId, now: Moment) {
        let Some(record) = self.open.get(&id) else { return };
        let order = PresenterOrder::Show(Box::new(record.notification.clone()));
        if self.presenters.current().is_some_and(|seat| seat.order(order)) {
            self.underway.insert(id, now);
        }
    }

    /// As one, together with those that an earlier summary on the screen tells of.
    async fn show_together(&mut self, ids: Vec<NotificationId>, now: Moment) -> Result<(), Fault> {
        let mut all: Vec<NotificationId> = self
            .open
            .values()
            .filter(|record| is_summary(record))
            .flat_map(members)
            .filter(|id| self.open.contains_key(id))
            .chain(ids.iter().copied())
            .collect();
        all.sort_unstable();
        all.dedup();
        let titles: Vec<(NotificationId, String)> = all
            .iter()
            .filter_map(|id| Some((*id, self.open.get(id)?.notification.title.clone())))
            .collect();
        let oldest = ids.first().and_then(|id| self.open.get(id));
        let away = oldest.is_some_and(|record| {
            self.present_since
                .is_none_or(|since| record.notification.created_at < since)
        });
        self.covered.extend(ids);
        if let Some(id) = self.notify(stories::summary(&titles, away)).await? {
            self.show(id, now);
        }
        Ok(())
    }

    /// Those who test are answered at once if nothing can come of it, and in the end anyway.
    fn hurry_testers(&mut self, now: Moment) -> Option<Duration> {
        let hindrance = match self.presenters.current() {
            None => Some(NOBODY.to_owned()),
            Some(seat) => seat.hindrance(now).map(str::to_owned),
        };
        let over: Vec<(NotificationId, String)> = self
            .testers
            .iter()
            .filter_map(|tester| match &hindrance {
                Some(why) => Some((tester.id, why.clone())),
                None if tester.until <= now => {
                    let why = self.presenters.current().and_then(|seat| seat.unable());
                    Some((tester.id, why.unwrap_or(SILENT).to_owned()))
                }
                None => None,
            })
            .collect();
        for (id, why) in over {
            self.tell_testers(id, false, &why);
        }
        let until = self.testers.iter().map(|tester| tester.until).min()?;
        Some(until.since(now))
    }
}
