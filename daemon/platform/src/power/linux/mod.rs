//! logind says when the machine slept and keeps it awake; `UPower`, or the kernel, knows the
//! battery.

mod battery;
mod bus;

use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::PowerEvent;
use bus::Bus;

/// How often the kernel is asked for the battery where nobody tells.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Events that may wait.
const WAITING: usize = 16;

/// logind holds the machine awake for as long as this is open.
#[derive(Debug)]
pub(super) struct Awake(#[expect(dead_code, reason = "held for its drop")] OwnedFd);

#[derive(Debug)]
pub(super) struct Power {
    bus: Option<Bus>,
    events: mpsc::Receiver<PowerEvent>,
    /// What was told last.
    battery: Option<bool>,
    /// When the kernel is asked next; `None` if somebody tells when the battery changes.
    look_at: Option<Instant>,
}

impl Power {
    pub(super) async fn connect() -> Self {
        let (sender, events) = mpsc::channel(WAITING);
        let bus = match Bus::connect(sender).await {
            Ok(bus) => Some(bus),
            Err(error) => {
                tracing::debug!(%error, "nobody can be asked about sleep and battery");
                None
            }
        };
        let mut power = Self {
            bus,
            events,
            battery: None,
            look_at: None,
        };
        power.battery = power.on_battery().await;
        let is_told = match &power.bus {
            Some(bus) => bus.on_battery().await.is_some(),
            None => false,
        };
        if !is_told && power.battery.is_some() {
            power.look_at = Some(Instant::now() + LOOK_EVERY);
        }
        power
    }

    pub(super) async fn stay_awake(&self, why: &str) -> Option<Awake> {
        match self.bus.as_ref()?.inhibit(why).await {
            Ok(held) => Some(Awake(held)),
            Err(error) => {
                tracing::debug!(%error, "the machine cannot be kept awake");
                None
            }
        }
    }

    pub(super) async fn on_battery(&self) -> Option<bool> {
        if let Some(bus) = &self.bus
            && let Some(on_battery) = bus.on_battery().await
        {
            return Some(on_battery);
        }
        tokio::task::spawn_blocking(battery::on_battery).await.ok()?
    }

    pub(super) async fn next(&mut self) -> PowerEvent {
        loop {
            let look_at = self.look_at;
            let told = tokio::select! {
                told = self.events.recv() => match told {
                    Some(PowerEvent::Resumed) => return PowerEvent::Resumed,
                    Some(PowerEvent::Battery(on_battery)) => Some(on_battery),
                    // Nobody says anything any more.
                    None if look_at.is_none() => std::future::pending().await,
                    None => {
                        reached(look_at).await;
                        self.look().await
                    }
                },
                () = reached(look_at) => self.look().await,
            };
            if let Some(on_battery) = told
                && self.battery.replace(on_battery) != Some(on_battery)
            {
                return PowerEvent::Battery(on_battery);
            }
        }
    }

    async fn look(&mut self) -> Option<bool> {
        self.look_at = Some(Instant::now() + LOOK_EVERY);
        tokio::task::spawn_blocking(battery::on_battery).await.ok()?
    }
}

/// Never, without a time.
async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
