//! Keeps the machine awake, and lets it go.

use std::sync::Arc;
use std::time::Duration;

use airunner_core::memory::FreeRequest;
use airunner_core::power::{PowerRules, PowerState};
use airunner_platform::power::{Awake, Power, PowerEvent};
use tokio::sync::watch;
use tokio::time::Instant;

use super::activity::Activity;
use crate::config::Settings;
use crate::hardware::Hardware;
use crate::models::Models;
use crate::shutdown::Ending;

/// Between two requests of one conversation of programs the machine is not let go and kept awake
/// again.
const LINGER: Duration = Duration::from_secs(1);

/// Whom it asks and tells.
pub struct Parts {
    pub models: Models,
    pub hardware: Hardware,
    pub settings: watch::Receiver<Arc<Settings>>,
    /// A model is being made.
    pub quantizing: watch::Receiver<bool>,
}

/// Keeps the machine awake while there is something to do, until the end is asked for.
pub async fn keep(parts: Parts, ending: Ending) {
    Keeper::new(parts).await.run(ending).await;
}

struct Keeper {
    parts: Parts,
    power: Power,
    rules: PowerRules,
    activity: Activity,
    on_battery: Option<bool>,
    awake: Option<Awake>,
    /// Nothing is to be done since then.
    let_go_at: Option<Instant>,
    /// Nobody can be asked; tried again with the next thing to do.
    refused: bool,
}

impl Keeper {
    /// Finds out who can be asked.
    async fn new(parts: Parts) -> Self {
        let power = Power::connect().await;
        let on_battery = power.on_battery().await;
        let rules = rules(&parts.settings.borrow());
        Self {
            parts,
            power,
            rules,
            activity: Activity::default(),
            on_battery,
            awake: None,
            let_go_at: None,
            refused: false,
        }
    }

    async fn run(mut self, ending: Ending) {
        let mut changes = self.parts.models.watch();
        if self.rules.unloads(self.on_battery) {
            self.unload().await;
        }
        loop {
            let let_go_at = self.let_go_at;
            tokio::select! {
                // What was wished before something began counts for it.
                biased;
                () = ending.asked() => return,
                Ok(()) = self.parts.settings.changed() => self.set_rules().await,
                event = self.power.next() => self.happened(event).await,
                Ok(()) = self.parts.quantizing.changed() => {}
                change = changes.next() => match change {
                    Some(message) => self.activity.hear(&message.payload),
                    None => return,
                },
                () = reached(let_go_at), if let_go_at.is_some() => self.let_go(),
            }
            self.decide().await;
        }
    }

    async fn set_rules(&mut self) {
        let old = std::mem::replace(&mut self.rules, rules(&self.parts.settings.borrow()));
        if self.rules.unloads(self.on_battery) && !old.unloads(self.on_battery) {
            self.unload().await;
        }
    }

    async fn happened(&mut self, event: PowerEvent) {
        match event {
            PowerEvent::Resumed => {
                tracing::info!("the machine is awake again: it is looked at anew");
                self.parts.hardware.device_failed();
            }
            PowerEvent::Battery(on_battery) => {
                tracing::info!(on_battery, "the power supply is another one");
                self.on_battery = Some(on_battery);
                if self.rules.unloads(self.on_battery) {
                    self.unload().await;
                }
            }
        }
    }

    /// Pinned models stay: somebody wanted exactly that.
    async fn unload(&self) {
        match self.parts.models.free(FreeRequest { pinned: false }).await {
            Ok(freed) => tracing::info!(
                models = freed.unloaded.len(),
                bytes = freed.freed_bytes,
                "on battery: what was idle is unloaded"
            ),
            Err(fault) => tracing::warn!(reason = %fault.kind, "what is idle cannot be unloaded: {fault}"),
        }
    }

    async fn decide(&mut self) {
        let state = PowerState {
            answering: self.activity.is_answering(),
            working: self.activity.is_downloading() || *self.parts.quantizing.borrow(),
            on_battery: self.on_battery,
        };
        let Some(reason) = self.rules.awake_for(state) else {
            self.refused = false;
            if self.awake.is_some() && self.let_go_at.is_none() {
                self.let_go_at = Some(Instant::now() + LINGER);
            }
            return;
        };
        self.let_go_at = None;
        if self.awake.is_none() && !self.refused {
            self.awake = self.power.stay_awake(reason.why()).await;
            self.refused = self.awake.is_none();
            tracing::debug!(
                why = reason.why(),
                kept = !self.refused,
                "the machine is to stay awake"
            );
        }
    }

    fn let_go(&mut self) {
        self.let_go_at = None;
        if self.awake.take().is_some() {
            tracing::debug!("the machine may sleep");
        }
    }
}

fn rules(settings: &Settings) -> PowerRules {
    PowerRules {
        inhibit_sleep: settings.power.inhibit_sleep,
        unload_on_battery: settings.power.unload_on_battery,
    }
}

/// Never, without a time.
async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
