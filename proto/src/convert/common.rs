//! What several services share: models, states, load progress, keep-alive.

use std::time::{Duration, SystemTime};

use airunner_core::lifecycle::{StateName, UnloadReason};
use airunner_core::model::{Instance, LoadProgress, LoadStage, Model, ModelKind, Source};
use airunner_core::{Fault, KeepAlive, ModelName};

use super::wire::{answered, known, not_understood, required};
use crate::v1;

/// Whole milliseconds; at the end of time if it is beyond that.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl From<StateName> for v1::ModelState {
    fn from(state: StateName) -> Self {
        match state {
            StateName::Unloaded => Self::Unloaded,
            StateName::Loading => Self::Loading,
            StateName::Loaded => Self::Loaded,
            StateName::Busy => Self::Busy,
            StateName::Unloading => Self::Unloading,
        }
    }
}

/// The state behind a number of the wire.
pub(super) fn state(number: i32, field: &str) -> Result<StateName, Fault> {
    match v1::ModelState::try_from(number) {
        Ok(v1::ModelState::Unloaded) => Ok(StateName::Unloaded),
        Ok(v1::ModelState::Loading) => Ok(StateName::Loading),
        Ok(v1::ModelState::Loaded) => Ok(StateName::Loaded),
        Ok(v1::ModelState::Busy) => Ok(StateName::Busy),
        Ok(v1::ModelState::Unloading) => Ok(StateName::Unloading),
        Ok(v1::ModelState::Unspecified) | Err(_) => {
            Err(not_understood(field, &format!("{number} is no state")))
        }
    }
}

impl From<KeepAlive> for v1::KeepAlive {
    fn from(keep_alive: KeepAlive) -> Self {
        use v1::keep_alive::Policy;
        let policy = match keep_alive {
            KeepAlive::After(time) => Policy::AfterMs(millis(time)),
            KeepAlive::Forever => Policy::Forever(true),
        };
        Self { policy: Some(policy) }
    }
}

impl TryFrom<v1::KeepAlive> for KeepAlive {
    type Error = Fault;

    fn try_from(wire: v1::KeepAlive) -> Result<Self, Fault> {
        use v1::keep_alive::Policy;
        match required(wire.policy, "keep_alive.policy")? {
            Policy::AfterMs(ms) => Ok(Self::After(Duration::from_millis(ms))),
            Policy::Forever(true) => Ok(Self::Forever),
            Policy::Forever(false) => Err(Fault::invalid(
                "keep_alive.forever is false: leave it out or set after_ms",
            )),
        }
    }
}

impl From<LoadProgress> for v1::LoadProgress {
    fn from(progress: LoadProgress) -> Self {
        Self {
            stage: progress.stage.as_str().to_owned(),
            fraction: progress.fraction,
        }
    }
}

impl TryFrom<v1::LoadProgress> for LoadProgress {
    type Error = Fault;

    fn try_from(wire: v1::LoadProgress) -> Result<Self, Fault> {
        if !(0.0..=1.0).contains(&wire.fraction) {
            return Err(not_understood("progress.fraction", "it is not between 0 and 1"));
        }
        let stage = known(LoadStage::parse(&wire.stage), "progress.stage", &wire.stage)?;
        Ok(Self {
            stage,
            fraction: wire.fraction,
        })
    }
}

impl From<Model> for v1::Model {
    fn from(model: Model) -> Self {
        Self {
            name: model.name.to_string(),
            kind: model.kind.as_str().to_owned(),
            state: v1::ModelState::from(model.state).into(),
            size_bytes: model.size_bytes,
            source: model.source.to_string(),
            instance: model.instance.map(Into::into),
            last_unload_reason: model
                .last_unload_reason
                .map_or("", UnloadReason::as_str)
                .to_owned(),
        }
    }
}

impl TryFrom<v1::Model> for Model {
    type Error = Fault;

    fn try_from(wire: v1::Model) -> Result<Self, Fault> {
        let reason = wire.last_unload_reason;
        let last_unload_reason = match reason.as_str() {
            "" => None,
            text => Some(known(
                UnloadReason::parse(text),
                "model.last_unload_reason",
                text,
            )?),
        };
        Ok(Self {
            name: known(ModelName::new(&wire.name).ok(), "model.name", &wire.name)?,
            kind: known(ModelKind::parse(&wire.kind), "model.kind", &wire.kind)?,
            state: state(wire.state, "model.state")?,
            size_bytes: wire.size_bytes,
            source: known(Source::parse(&wire.source), "model.source", &wire.source)?,
            instance: wire.instance.map(TryInto::try_into).transpose()?,
            last_unload_reason,
        })
    }
}

impl From<Instance> for v1::Instance {
    fn from(instance: Instance) -> Self {
        let epoch_ms = |at: SystemTime| millis(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        Self {
            pid: instance.pid,
            device: instance.device,
            memory_bytes: instance.memory_bytes,
            context_length: instance.context_length,
            active_requests: instance.active_requests,
            waiting_requests: instance.waiting_requests,
            progress: instance.progress.map(Into::into),
            expires_at_ms: instance.expires_at.map(epoch_ms),
            variant: instance.variant,
        }
    }
}

impl TryFrom<v1::Instance> for Instance {
    type Error = Fault;

    fn try_from(wire: v1::Instance) -> Result<Self, Fault> {
        let moment = |ms| {
            let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms));
            answered(at, "instance.expires_at_ms")
        };
        Ok(Self {
            pid: wire.pid,
            device: wire.device,
            memory_bytes: wire.memory_bytes,
            context_length: wire.context_length,
            active_requests: wire.active_requests,
            waiting_requests: wire.waiting_requests,
            progress: wire.progress.map(TryInto::try_into).transpose()?,
            expires_at: wire.expires_at_ms.map(moment).transpose()?,
            variant: wire.variant,
        })
    }
}

/// Every model of an answer.
pub(super) fn models(wire: Vec<v1::Model>) -> Result<Vec<Model>, Fault> {
    wire.into_iter().map(TryInto::try_into).collect()
}
