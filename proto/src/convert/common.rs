//! What several services share: models, states, load progress, waiting, keep-alive, priorities.

use std::time::{Duration, SystemTime};

use airunner_core::hardware::Device;
use airunner_core::lifecycle::{StateName, UnloadReason};
use airunner_core::memory::Quantization;
use airunner_core::model::{Instance, LoadProgress, LoadStage, Model, ModelKind, Queued, Source};
use airunner_core::{Fault, KeepAlive, ModelName, Priority};

use super::wire::{answered, known, non_empty, not_understood, refused, required};
use crate::v1;

/// Whole milliseconds; at the end of time if it is beyond that.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since the Unix epoch; 0 for what was before.
pub(super) fn epoch_millis(at: SystemTime) -> u64 {
    millis(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// The time behind such a number of an answer.
pub(super) fn moment(ms: u64, field: &str) -> Result<SystemTime, Fault> {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms));
    answered(at, field)
}

/// A name of an answer.
pub(super) fn named(text: &str, field: &str) -> Result<ModelName, Fault> {
    known(ModelName::new(text).ok(), field, text)
}

/// A device of an answer.
pub(super) fn device(text: &str, field: &str) -> Result<Device, Fault> {
    known(Device::parse(text), field, text)
}

/// The empty text is the absent level.
pub(super) fn level_text(level: Option<Quantization>) -> String {
    level.map_or("", Quantization::as_str).to_owned()
}

/// A level of an answer.
pub(super) fn level(text: &str, field: &str) -> Result<Option<Quantization>, Fault> {
    match text {
        "" => Ok(None),
        text => known(Quantization::parse(text), field, text).map(Some),
    }
}

/// A level of a request.
pub(super) fn asked_level(text: &str) -> Result<Option<Quantization>, Fault> {
    let all = Quantization::ALL.map(Quantization::as_str).join(", ");
    match text {
        "" => Ok(None),
        text => refused(Quantization::parse(text), "level", text, &all).map(Some),
    }
}

/// A context of a request: no model answers with none.
pub(super) fn asked_context(tokens: Option<u32>) -> Result<Option<u32>, Fault> {
    if tokens == Some(0) {
        return Err(Fault::invalid(
            "context_length is 0: ask for at least 1 token, or leave it out for the configured length",
        ));
    }
    Ok(tokens)
}

impl From<Priority> for v1::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Background => Self::Background,
            Priority::Api => Self::Api,
            Priority::Interactive => Self::Interactive,
        }
    }
}

/// The priority behind a number of a request.
pub(super) fn asked_priority(number: i32) -> Result<Priority, Fault> {
    match v1::Priority::try_from(number) {
        Ok(v1::Priority::Unspecified | v1::Priority::Api) => Ok(Priority::Api),
        Ok(v1::Priority::Background) => Ok(Priority::Background),
        Ok(v1::Priority::Interactive) => Ok(Priority::Interactive),
        Err(_) => Err(Fault::invalid(format!(
            "priority is {number}: use 1 (background), 2 (api) or 3 (interactive)"
        ))),
    }
}

impl From<Queued> for v1::Queued {
    fn from(queued: Queued) -> Self {
        Self {
            position: queued.position,
            estimated_wait_ms: queued.estimated_wait.map(millis),
            reason: queued.reason,
        }
    }
}

impl From<v1::Queued> for Queued {
    fn from(wire: v1::Queued) -> Self {
        Self {
            position: wire.position,
            estimated_wait: wire.estimated_wait_ms.map(Duration::from_millis),
            reason: wire.reason,
        }
    }
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
                .map(|reason| reason.to_string())
                .unwrap_or_default(),
            waiting_requests: model.waiting_requests,
        }
    }
}

impl TryFrom<v1::Model> for Model {
    type Error = Fault;

    fn try_from(wire: v1::Model) -> Result<Self, Fault> {
        let reason = |text: String| known(UnloadReason::parse(&text), "model.last_unload_reason", &text);
        Ok(Self {
            name: named(&wire.name, "model.name")?,
            kind: known(ModelKind::parse(&wire.kind), "model.kind", &wire.kind)?,
            state: state(wire.state, "model.state")?,
            size_bytes: wire.size_bytes,
            source: known(Source::parse(&wire.source), "model.source", &wire.source)?,
            instance: wire.instance.map(TryInto::try_into).transpose()?,
            last_unload_reason: non_empty(wire.last_unload_reason).map(reason).transpose()?,
            waiting_requests: wire.waiting_requests,
        })
    }
}

impl From<Instance> for v1::Instance {
    fn from(instance: Instance) -> Self {
        Self {
            pid: instance.pid,
            device: instance.device,
            memory_bytes: instance.memory_bytes,
            context_length: instance.context_length,
            active_requests: instance.active_requests,
            waiting_requests: instance.waiting_requests,
            progress: instance.progress.map(Into::into),
            expires_at_ms: instance.expires_at.map(epoch_millis),
            variant: instance.variant,
            estimated_bytes: instance.estimated_bytes,
            pinned: instance.pinned,
            loaded_for: instance.loaded_for,
            level: level_text(instance.level),
            prepacked: instance.prepacked,
            threads: instance.threads,
            cache_type: instance.cache_type,
        }
    }
}

impl TryFrom<v1::Instance> for Instance {
    type Error = Fault;

    fn try_from(wire: v1::Instance) -> Result<Self, Fault> {
        let expires = |ms| moment(ms, "instance.expires_at_ms");
        Ok(Self {
            pid: wire.pid,
            device: wire.device,
            memory_bytes: wire.memory_bytes,
            context_length: wire.context_length,
            active_requests: wire.active_requests,
            waiting_requests: wire.waiting_requests,
            progress: wire.progress.map(TryInto::try_into).transpose()?,
            expires_at: wire.expires_at_ms.map(expires).transpose()?,
            variant: wire.variant,
            estimated_bytes: wire.estimated_bytes,
            pinned: wire.pinned,
            loaded_for: wire.loaded_for,
            level: level(&wire.level, "instance.level")?,
            prepacked: wire.prepacked,
            threads: wire.threads,
            cache_type: wire.cache_type,
        })
    }
}

/// Every model of an answer.
pub(super) fn models(wire: Vec<v1::Model>) -> Result<Vec<Model>, Fault> {
    wire.into_iter().map(TryInto::try_into).collect()
}
