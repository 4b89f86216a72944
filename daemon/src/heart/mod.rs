//! What the service manager is told: that everything answers, what is going on, that it still
//! does, and that the end has begun.
//!
//! The daemon counts as alive only if the owner of the models and the server on the local socket
//! answer. Without a service manager nothing of this runs.

mod summary;

use std::time::Duration;

use airunner_core::Fault;
use airunner_platform::supervision::{Notice, Supervisor};
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::models::Models;
use crate::shutdown::Ending;

/// Changes of models that come together are told together.
const CALM: Duration = Duration::from_millis(250);

/// Something that must answer for the daemon to be well.
pub trait Answers: Send {
    /// Returns once it has answered.
    fn ask(&mut self) -> BoxFuture<'_, Result<(), Fault>>;
}

/// Tells the service manager, while there is one.
pub struct Heart {
    supervisor: Supervisor,
    server: Box<dyn Answers>,
    models: Models,
    ending: Ending,
}

impl Heart {
    /// Says that the daemon is ready, once everything has answered, and goes on telling until the
    /// end is asked for; then that it has begun and how long it may take. `None` if nobody wants
    /// to be told.
    pub async fn begin(
        models: Models,
        server: Box<dyn Answers>,
        ending: Ending,
        patience: Duration,
    ) -> Result<Option<JoinHandle<()>>, Fault> {
        let Some(supervisor) = Supervisor::of_process() else {
            return Ok(None);
        };
        let mut heart = Self {
            supervisor,
            server,
            models,
            ending,
        };
        heart.beat().await?;
        heart.supervisor.tell(&Notice::Ready);
        Ok(Some(tokio::spawn(heart.run(patience))))
    }

    async fn run(mut self, patience: Duration) {
        let asked = self.ending.asked();
        tokio::select! {
            () = asked => {}
            () = self.live() => {}
        }
        self.supervisor.tell(&Notice::Stopping(patience));
    }

    async fn live(&mut self) {
        let mut watch = self.models.watch();
        let mut told = String::new();
        // Twice as often as is demanded.
        let interval = self.supervisor.watchdog().map(|demanded| demanded / 2);
        let mut ticks = interval.map(tokio::time::interval);
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut calm_at = Some(Instant::now());
        loop {
            tokio::select! {
                () = tick(ticks.as_mut()) => self.say_alive(interval.unwrap_or_default()).await,
                message = watch.next() => {
                    if message.is_none() {
                        return;
                    }
                    calm_at.get_or_insert_with(|| Instant::now() + CALM);
                }
                () = until(calm_at) => {
                    calm_at = None;
                    let summary = summary::of(&self.models.list());
                    if summary != told {
                        self.supervisor.tell(&Notice::Status(summary.clone()));
                        told = summary;
                    }
                }
            }
        }
    }

    /// Returns once the owner of the models and the server have answered.
    async fn beat(&mut self) -> Result<(), Fault> {
        self.models.ceilings().await?;
        self.server.ask().await
    }

    /// Says nothing if something does not answer: then the manager does what it is there for.
    async fn say_alive(&mut self, patience: Duration) {
        match tokio::time::timeout(patience, self.beat()).await {
            Ok(Ok(())) => self.supervisor.tell(&Notice::Alive),
            Ok(Err(fault)) => tracing::error!("the daemon is not well: {fault}"),
            Err(_) => tracing::error!("the daemon is not well: something in it does not answer"),
        }
    }
}

async fn tick(ticks: Option<&mut tokio::time::Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
