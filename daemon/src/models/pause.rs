//! Nothing is loaded or run while the program is paused.

use std::time::SystemTime;

use airunner_core::event::Event as Announcement;
use airunner_core::lifecycle::{Event, StateName};
use airunner_core::memory::{Permission, PermissionReason};
use airunner_core::pause::{Pause, Paused};
use airunner_core::{Fault, ModelName};
use tokio::sync::oneshot;

use super::actor::Actor;
use super::handle::freed;
use super::message::Going;

/// What a pause brings about.
pub struct Quieting {
    pause: Pause,
    going: Vec<Going>,
    /// Those that finish what they were asked before.
    finishing: Vec<ModelName>,
}

impl Quieting {
    /// Waits until what does not finish first is gone.
    pub(crate) async fn settled(self) -> Paused {
        let freed = freed(self.going).await;
        Paused {
            pause: self.pause,
            unloaded: freed.unloaded,
            freed_bytes: freed.freed_bytes,
            finishing: self.finishing,
        }
    }
}

impl Actor {
    /// Whoever waits is refused, and what is idle goes; what is in use finishes first, unless it
    /// is forced.
    pub(super) fn pause(&mut self, pause: Pause, force: bool) -> Quieting {
        self.set_pause(Some(pause));
        let fault = pause.refusal(SystemTime::now());
        for request in self.residency.close() {
            self.refuse(request, fault.clone());
        }
        let mut quieting = Quieting {
            pause,
            going: Vec::new(),
            finishing: Vec::new(),
        };
        let names: Vec<ModelName> = self.entries.keys().cloned().collect();
        for name in names {
            self.quiet(name, force, &fault, &mut quieting);
        }
        quieting
    }

    fn quiet(&mut self, name: ModelName, force: bool, fault: &Fault, quieting: &mut Quieting) {
        let bytes = self.residency.reserved(&name);
        let Some(entry) = self.entries.get_mut(&name) else {
            return;
        };
        let state = entry.machine.state().name();
        if state == StateName::Unloaded {
            return;
        }
        if state == StateName::Busy && !force {
            quieting.finishing.push(name.clone());
        } else {
            let (reply, gone) = oneshot::channel();
            entry.unloads.push(reply);
            quieting.going.push(Going {
                name: name.clone(),
                bytes,
                gone,
            });
        }
        let fault = fault.clone();
        self.step(&name, Event::Pause { force, fault });
    }

    /// True if there was a pause.
    pub(super) fn resume(&mut self) -> bool {
        if self.paused.is_none() {
            return false;
        }
        self.set_pause(None);
        self.step_all(&Event::Resume);
        true
    }

    pub(super) fn set_pause(&mut self, paused: Option<Pause>) {
        self.paused = paused;
        self.publisher.publish(Announcement::PauseChanged(paused));
    }

    /// Why nobody gets a model, if that is so. A pause that is over is so from that moment, also
    /// while whoever looks after it has not woken up.
    pub(super) fn pause_refusal(&self) -> Option<Fault> {
        let now = SystemTime::now();
        let pause = self.paused.filter(|pause| !pause.is_over(now))?;
        Some(pause.refusal(now))
    }

    /// What may start while the program is paused: nothing.
    pub(super) fn permitted(&self, permission: Permission) -> Permission {
        match self.pause_refusal() {
            Some(fault) => Permission::no(PermissionReason::Paused, fault.message, &permission.active_models),
            None => permission,
        }
    }
}
