//! The way to what is worked on.

use std::collections::BTreeMap;

use airunner_core::activity::{Activity, ActivityId, ActivityKind};
use airunner_core::event::Event;
use airunner_core::{ErrorKind, Fault, ModelName};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::steps::Step;
use crate::events::{Hub, Publisher};

const CAPACITY: usize = 16;

type Told<E> = mpsc::Receiver<Result<E, Fault>>;

/// See the module.
#[derive(Clone, Debug)]
pub struct Activities {
    publisher: Publisher,
    hub: Hub,
    under_way: watch::Sender<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    /// The number that was given last.
    last: u64,
    /// How to give each of them up.
    tokens: BTreeMap<ActivityId, CancellationToken>,
}

impl Activities {
    #[must_use]
    pub fn new(publisher: Publisher, hub: Hub) -> Self {
        Self {
            publisher,
            hub,
            under_way: watch::Sender::new(UnderWay::default()),
        }
    }

    /// The oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Activity> {
        self.hub.activities()
    }

    /// Shows work to everybody, from what it tells, until it ends or nobody reads what is passed
    /// on here. Dropping that gives the work up.
    #[must_use]
    pub fn track<E: Step>(&self, kind: ActivityKind, model: ModelName, told: Told<E>) -> Told<E> {
        let (sender, passed_on) = mpsc::channel(CAPACITY);
        let shown = self.begin(kind, model);
        tokio::spawn(pass_on(shown, told, sender));
        passed_on
    }

    /// Gives one up. It is gone soon after.
    pub fn cancel(&self, id: ActivityId) -> Result<(), Fault> {
        let under_way = self.under_way.borrow();
        let token = under_way.tokens.get(&id).ok_or_else(|| {
            Fault::new(
                ErrorKind::NotFound,
                format!("nothing with the number {id} is being worked on: it may have ended"),
            )
        })?;
        tracing::info!(activity = id.0, "an activity is given up");
        token.cancel();
        Ok(())
    }

    fn begin(&self, kind: ActivityKind, model: ModelName) -> Shown {
        let token = CancellationToken::new();
        let mut id = ActivityId(0);
        self.under_way.send_modify(|under_way| {
            under_way.last += 1;
            id = ActivityId(under_way.last);
            under_way.tokens.insert(id, token.clone());
        });
        let activity = Activity {
            id,
            kind,
            model,
            fraction: 0.0,
            is_waiting: kind.takes_turns(),
        };
        self.publisher
            .publish(Event::ActivityChanged(Box::new(activity.clone())));
        Shown {
            activities: self.clone(),
            activity,
            token,
        }
    }
}

/// One that everybody sees, until it is dropped.
struct Shown {
    activities: Activities,
    activity: Activity,
    token: CancellationToken,
}

impl Shown {
    /// Whole percents are worth telling, and that it begins.
    fn reached(&mut self, fraction: f64, is_waiting: bool) {
        let before = (self.activity.percent(), self.activity.is_waiting);
        self.activity.is_waiting = is_waiting;
        if fraction > self.activity.fraction {
            self.activity.fraction = fraction.min(1.0);
        }
        if (self.activity.percent(), self.activity.is_waiting) != before {
            let activity = Box::new(self.activity.clone());
            self.activities
                .publisher
                .publish(Event::ActivityChanged(activity));
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let id = self.activity.id;
        self.activities.under_way.send_modify(|under_way| {
            under_way.tokens.remove(&id);
        });
        self.activities.publisher.publish(Event::ActivityEnded(id));
    }
}

async fn pass_on<E: Step>(mut shown: Shown, mut told: Told<E>, sender: mpsc::Sender<Result<E, Fault>>) {
    loop {
        let event = tokio::select! {
            () = sender.closed() => return,
            () = shown.token.cancelled() => break,
            event = told.recv() => event,
        };
        let Some(event) = event else { return };
        match event.as_ref().map(|step| (step.fraction(), step.is_waiting())) {
            Ok((Some(fraction), is_waiting)) => {
                shown.reached(fraction, is_waiting);
                // A reader that is slow misses intermediate progress, which the next replaces.
                drop(sender.try_send(event));
            }
            Ok((None, _)) | Err(_) => {
                drop(shown);
                // Who does not wait any more wants no end.
                drop(sender.send(event).await);
                return;
            }
        }
    }
    drop(told);
    let (kind, model) = (shown.activity.kind, shown.activity.model.clone());
    drop(shown);
    let doing = kind.doing().to_lowercase();
    let fault = Fault::new(ErrorKind::Cancelled, format!("{doing} {model} was given up"));
    drop(sender.send(Err(fault)).await);
}
