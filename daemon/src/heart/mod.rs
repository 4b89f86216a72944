//! What the service manager is told: that everything answers, what is going on, that it still
//! does, and that the end has begun.
//!
//! The daemon counts as alive only if the owner of the models and the server on the local socket
//! answer. Without a service manager nothing of this runs.

mod summary;
#[cfg(test)]
mod tests;

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

/// The service manager, as far as it matters here.
pub trait Manager: Send + Sync {
    /// It ends this process if it hears nothing for so long.
    fn watchdog(&self) -> Option<Duration>;
    /// Never waits.
    fn tell(&self, notice: &Notice);
}

impl Manager for Supervisor {
    fn watchdog(&self) -> Option<Duration> {
        self.watchdog()
    }

    fn tell(&self, notice: &Notice) {
        self.tell(notice);
    }
}

/// Tells the service manager, while there is one.
pub struct Heart {
    manager: Box<dyn Manager>,
    server: Box<dyn Answers>,
    models: Models,
    ending: Ending,
    /// What does not answer, since the last beat.
    trouble: Option<String>,
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
            manager: Box::new(supervisor),
            server,
            models,
            ending,
            trouble: None,
        };
        heart.rise().await?;
        Ok(Some(tokio::spawn(heart.run(patience))))
    }

    async fn rise(&mut self) -> Result<(), Fault> {
        self.beat().await?;
        self.manager.tell(&Notice::Ready);
        Ok(())
    }

    async fn run(mut self, patience: Duration) {
        let asked = self.ending.asked();
        tokio::select! {
            () = asked => {}
            () = self.live() => {}
        }
        self.manager.tell(&Notice::Stopping(patience));
    }

    async fn live(&mut self) {
        let mut watch = self.models.watch();
        let mut told = String::new();
        // Twice as often as is demanded.
        let interval = self.manager.watchdog().map(|demanded| demanded / 2);
        let mut ticks = interval.map(tokio::time::interval);
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut calm_at = Some(Instant::now());
        loop {
            tokio::select! {
                () = tick(ticks.as_mut()) => {
                    self.say_alive(interval.unwrap_or_default()).await;
                    calm_at.get_or_insert_with(Instant::now);
                }
                message = watch.next() => {
                    if message.is_none() {
                        return;
                    }
                    calm_at.get_or_insert_with(|| Instant::now() + CALM);
                }
                () = until(calm_at) => {
                    calm_at = None;
                    let summary = match &self.trouble {
                        Some(trouble) => format!("not well: {trouble}"),
                        None => summary::of(&self.models.list()),
                    };
                    if summary != told {
                        self.manager.tell(&Notice::Status(summary.clone()));
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

    /// Is silent if something does not answer: then the manager does what it is there for.
    async fn say_alive(&mut self, patience: Duration) {
        let heard = tokio::time::timeout(patience, self.beat()).await;
        self.trouble = match heard {
            Ok(Ok(())) => None,
            Ok(Err(fault)) => Some(fault.to_string()),
            Err(_) => Some("something in it does not answer".to_owned()),
        };
        match &self.trouble {
            None => self.manager.tell(&Notice::Alive),
            Some(trouble) => tracing::error!("the daemon is not well: {trouble}"),
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
