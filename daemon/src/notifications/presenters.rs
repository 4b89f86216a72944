//! Those who put notifications on a screen.

use std::collections::BTreeMap;
use std::time::Duration;

use airunner_core::notification::{NotificationId, PresenterOrder};
use airunner_core::{ErrorKind, Fault, Moment};
use tokio::sync::mpsc;

use super::handle::Presenter;
use super::message::Session;

/// When a presenter that could not show anything is asked again. It says so itself when it can
/// earlier.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// A presenter that says it can right after it could not is not believed at once.
const NOT_BEFORE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Seat {
    presenter: Presenter,
    orders: mpsc::Sender<PresenterOrder>,
    /// Why it can show nothing.
    unable: Option<String>,
    /// When to try all the same.
    retry_at: Moment,
    /// When it refused last.
    refused_at: Option<Moment>,
}

/// One program, and the daemon itself behind it.
#[derive(Debug, Default)]
pub(super) struct Presenters {
    seats: BTreeMap<Session, Seat>,
    last: Session,
}

impl Presenters {
    pub(super) fn attach(
        &mut self,
        presenter: Presenter,
        orders: mpsc::Sender<PresenterOrder>,
        now: Moment,
    ) -> Result<Session, Fault> {
        if presenter != Presenter::Itself
            && let Some(present) = self.program()
        {
            return Err(Fault::new(
                ErrorKind::Busy,
                format!(
                    "{} shows notifications already: only one program can",
                    present.name()
                ),
            ));
        }
        self.last += 1;
        let seat = Seat {
            presenter,
            orders,
            unable: None,
            retry_at: now,
            refused_at: None,
        };
        self.seats.insert(self.last, seat);
        Ok(self.last)
    }

    pub(super) fn detach(&mut self, session: Session) -> Option<Seat> {
        self.seats.remove(&session)
    }

    pub(super) fn get_mut(&mut self, session: Session) -> Option<&mut Seat> {
        self.seats.get_mut(&session)
    }

    fn program(&self) -> Option<&Seat> {
        let mut seats = self.seats.values();
        seats.find(|seat| seat.presenter != Presenter::Itself)
    }

    /// Who shows: the program, or else the daemon itself.
    pub(super) fn current(&self) -> Option<&Seat> {
        self.program().or_else(|| self.seats.values().next())
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Seat> {
        let is_program = |seat: &Seat| seat.presenter != Presenter::Itself;
        let mut sessions = self.seats.iter();
        let session = sessions
            .find(|(_, seat)| is_program(seat))
            .map(|(session, _)| *session);
        let session = session.or_else(|| self.seats.keys().next().copied())?;
        self.seats.get_mut(&session)
    }

    /// Takes it off every screen.
    pub(super) fn withdraw(&self, id: NotificationId) {
        for seat in self.seats.values() {
            seat.order(PresenterOrder::Withdraw(id));
        }
    }
}

impl Seat {
    /// For people.
    pub(super) fn name(&self) -> String {
        match &self.presenter {
            Presenter::Itself => "the daemon itself".to_owned(),
            Presenter::Program { name, pid: Some(pid) } => format!("{name} (process {pid})"),
            Presenter::Program { name, pid: None } => name.clone(),
        }
    }

    /// True if the presenter takes it. One that is dead is noticed when its presence ends.
    pub(super) fn order(&self, order: PresenterOrder) -> bool {
        self.orders.try_send(order).is_ok()
    }

    pub(super) fn is_dead(&self) -> bool {
        self.orders.is_closed() || self.orders.capacity() == 0
    }

    /// Why it can show nothing; `None` if it can, or may be tried.
    pub(super) fn hindrance(&self, now: Moment) -> Option<&str> {
        let unable = self.unable.as_deref()?;
        (now < self.retry_at).then_some(unable)
    }

    /// Until it may be tried again.
    pub(super) fn wait(&self, now: Moment) -> Duration {
        self.retry_at.since(now)
    }

    pub(super) fn unable(&self) -> Option<&str> {
        self.unable.as_deref()
    }

    /// Somebody looks whether it works: it is tried at once.
    pub(super) const fn try_now(&mut self, now: Moment) {
        self.retry_at = now;
    }

    pub(super) fn is_able(&mut self, now: Moment) {
        match self.refused_at {
            Some(refused) if now < refused.plus(NOT_BEFORE) => self.retry_at = refused.plus(NOT_BEFORE),
            Some(_) | None => self.unable = None,
        }
    }

    pub(super) fn is_unable(&mut self, why: String, now: Moment) {
        self.unable = Some(why);
        self.retry_at = now.plus(TRY_AGAIN);
    }

    pub(super) fn refused(&mut self, why: String, now: Moment) {
        self.refused_at = Some(now);
        self.is_unable(why, now);
    }
}
