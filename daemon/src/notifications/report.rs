//! What presenters say, and what follows from it.

use airunner_core::notification::{
    Closing, NotificationId, NotificationState as State, PresenterReport, TestReport,
};
use airunner_core::{ErrorKind, Fault};

use super::actor::{Actor, is_summary, log, members};
use super::message::Session;

impl Actor {
    pub(super) async fn heard(&mut self, session: Session, report: PresenterReport) {
        let now = self.now();
        let Some(seat) = self.presenters.get_mut(session) else {
            return;
        };
        let done = match report {
            PresenterReport::Able => {
                seat.is_able(now);
                self.present_since.get_or_insert(self.clock.now());
                Ok(())
            }
            PresenterReport::Unable(why) => {
                tracing::debug!(presenter = seat.name(), "notifications cannot be seen: {why}");
                seat.is_unable(why, now);
                self.present_since = None;
                Ok(())
            }
            PresenterReport::Shown { id, revision, handle } => self.shown(id, revision, handle).await,
            PresenterReport::Refused { id, reason } => {
                seat.refused(reason.clone(), now);
                self.refused(id, &reason).await
            }
            PresenterReport::Acted { id, action } => self.acted(id, &action).await,
            PresenterReport::Closed { id, closing } => self.closed(id, closing).await,
            PresenterReport::Lost(id) => self.lost(id).await,
        };
        log(done, "what became of a notification cannot be written down");
    }

    async fn shown(&mut self, id: NotificationId, revision: u32, handle: String) -> Result<(), Fault> {
        self.present_since.get_or_insert(self.clock.now());
        let Some(record) = self.open.get(&id).cloned() else {
            // It was answered elsewhere before it came to the screen.
            self.presenters.withdraw(id);
            return Ok(());
        };
        if record.notification.revision != revision {
            return Ok(());
        }
        self.underway.remove(&id);
        self.at_once.remove(&id);
        self.storage
            .notification_shown(id, handle, self.clock.now())
            .await?;
        for member in members(&record) {
            self.covered.remove(&member);
            self.storage
                .notification_shown(member, String::new(), self.clock.now())
                .await?;
            self.refresh(member).await?;
        }
        self.refresh(id).await?;
        self.tell_testers(id, true, "");
        Ok(())
    }

    async fn refused(&mut self, id: NotificationId, reason: &str) -> Result<(), Fault> {
        self.underway.remove(&id);
        self.tell_testers(id, false, reason);
        self.untell(id).await
    }

    /// A summary that nobody saw is none: those it told of wait for another.
    pub(super) async fn untell(&mut self, id: NotificationId) -> Result<(), Fault> {
        let Some(record) = self.open.get(&id).filter(|record| is_summary(record)) else {
            return Ok(());
        };
        for member in members(record) {
            self.covered.remove(&member);
        }
        self.close(id, State::Withdrawn).await
    }

    /// The receipt stops the presenter from saying it again; what could not be written down is to
    /// be said again.
    async fn acted(&mut self, id: NotificationId, action: &str) -> Result<(), Fault> {
        match self.act(id, action).await {
            Ok(_) => self.presenters.withdraw(id),
            Err(fault) if matches!(fault.kind, ErrorKind::NotFound | ErrorKind::InvalidArgument) => {
                tracing::debug!(%id, "a button that is not there was pressed");
                self.presenters.withdraw(id);
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    async fn closed(&mut self, id: NotificationId, closing: Closing) -> Result<(), Fault> {
        let is_shown = |state| state == State::Shown;
        if !self
            .open
            .get(&id)
            .is_some_and(|record| is_shown(record.notification.state))
        {
            return Ok(());
        }
        match closing {
            Closing::Dismissed => self.close(id, State::Dismissed).await,
            // It can still be answered, but not be found on the screen.
            Closing::Expired => {
                self.storage
                    .notification_shown(id, String::new(), self.clock.now())
                    .await?;
                self.refresh(id).await.map(drop)
            }
        }
    }

    /// Its screen is gone: it waits for another one.
    async fn lost(&mut self, id: NotificationId) -> Result<(), Fault> {
        self.underway.remove(&id);
        let Some(record) = self.open.get(&id).cloned() else {
            return Ok(());
        };
        if is_summary(&record) {
            for member in members(&record) {
                if self.open.contains_key(&member) {
                    self.wait_again(member, None).await?;
                }
            }
            return self.untell(id).await;
        }
        if record.notification.state == State::Shown {
            // Another presenter may still have it on a screen.
            self.presenters.withdraw(id);
            self.wait_again(id, None).await?;
        }
        Ok(())
    }

    /// A presenter is gone. What it had on the screen can still be answered; what it had not said
    /// anything of is shown by the next.
    pub(super) async fn left(&mut self, session: Session) {
        let Some(seat) = self.presenters.detach(session) else {
            return;
        };
        tracing::info!(presenter = seat.name(), "somebody shows notifications no longer");
        if self.presenters.current().is_none() {
            self.present_since = None;
        }
        let underway: Vec<NotificationId> = std::mem::take(&mut self.underway).into_keys().collect();
        for id in underway {
            log(self.untell(id).await, "a notification cannot be taken back");
        }
    }

    pub(super) fn tell_testers(&mut self, id: NotificationId, shown: bool, reason: &str) {
        let (told, others) = std::mem::take(&mut self.testers)
            .into_iter()
            .partition(|tester| tester.id == id);
        self.testers = others;
        let testers: Vec<super::actor::Tester> = told;
        let Some(record) = self.open.get(&id) else {
            return;
        };
        for tester in testers {
            let report = TestReport {
                notification: record.notification.clone(),
                shown,
                presenter: self.presenters.current().map(super::presenters::Seat::name),
                reason: reason.to_owned(),
            };
            // Who asked may be gone, which is fine.
            drop(tester.reply.send(Ok(report)));
        }
    }
}
