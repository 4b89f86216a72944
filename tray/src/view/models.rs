//! The models: each with its state, its memory and what can be done with it.

use std::time::Duration;

use airunner_core::keep_alive::KeepAlive;
use airunner_core::lifecycle::StateName;
use airunner_core::model::{Instance, Model};
use jiff::tz::TimeZone;

use super::{Action, Command, Entry, text};
use crate::state::Running;

/// Models that are listed at once; the others are one level further.
const AT_ONCE: usize = 8;
/// Models of one such further level.
const PER_LEVEL: usize = 20;

/// An entry per model. Its shape does not depend on the model's state, so that a menu that is
/// open stays open while the state changes.
pub(super) fn entries(running: &Running, zone: &TimeZone) -> Vec<Entry> {
    if running.models.is_empty() {
        return vec![Entry::Text("No model is installed".to_owned())];
    }
    let mut models: Vec<&Model> = running.models.values().collect();
    if models.len() > AT_ONCE {
        // The sort is stable: what is in memory comes first, each part by name.
        models.sort_by_key(|model| model.state == StateName::Unloaded);
    }
    let first = models.len().min(AT_ONCE);
    let (first, others) = models.split_at(first);
    let mut entries: Vec<Entry> = first.iter().map(|model| entry(model, zone)).collect();
    entries.extend(further(others, zone));
    entries
}

/// Levels inside levels, so that none is longer than a screen.
fn further(models: &[&Model], zone: &TimeZone) -> Option<Entry> {
    let levels = models.chunks(PER_LEVEL).rev();
    levels.fold(None, |deeper, level| {
        let mut entries: Vec<Entry> = level.iter().map(|model| entry(model, zone)).collect();
        entries.extend(deeper);
        Some(Entry::submenu("More models", entries))
    })
}

fn entry(model: &Model, zone: &TimeZone) -> Entry {
    let label = format!("{}: {}", text::name(model.name.as_str()), state(model));
    let name = || model.name.clone();
    let is = |states: &[StateName]| states.contains(&model.state);
    let ready = is(&[StateName::Loaded, StateName::Busy]);
    let pinned = model.instance.as_ref().is_some_and(|instance| instance.pinned);
    let ask = |possible: bool, command: Command| possible.then_some(Action::Ask(command));
    let keep = |label: &str, time: KeepAlive| Entry::maybe(label, ask(ready, Command::Keep(name(), time)));
    let minutes = |minutes: u64| KeepAlive::After(Duration::from_secs(minutes * 60));
    let entries = vec![
        Entry::Text(detail(model, zone)),
        Entry::maybe(
            "Load",
            ask(
                is(&[StateName::Unloaded, StateName::Unloading]),
                Command::Load(name()),
            ),
        ),
        Entry::maybe(
            "Unload",
            ask(ready || is(&[StateName::Loading]), Command::Unload(name())),
        ),
        Entry::Check {
            label: "Pin (others never push it out)".to_owned(),
            checked: pinned,
            action: ask(ready, Command::Pin(name(), !pinned)),
        },
        Entry::submenu(
            "Keep loaded",
            vec![
                keep("For 10 minutes after its last answer", minutes(10)),
                keep("For an hour after its last answer", minutes(60)),
                keep("Until it is unloaded", KeepAlive::Forever),
            ],
        ),
    ];
    Entry::submenu(label, entries)
}

/// Such as `answering 2 requests, 1.2 GiB, pinned`.
fn state(model: &Model) -> String {
    let instance = model.instance.clone().unwrap_or_default();
    let mut parts = vec![match model.state {
        StateName::Unloaded if model.waiting_requests > 0 => "waits for memory".to_owned(),
        StateName::Unloaded => "not loaded".to_owned(),
        StateName::Loading => {
            let percent = instance.progress.map_or(0, |p| text::load_percent(&p));
            format!("loading {percent} %")
        }
        StateName::Loaded => "loaded".to_owned(),
        StateName::Busy => format!(
            "answering {}",
            text::count(instance.active_requests.into(), "request")
        ),
        StateName::Unloading => "unloading".to_owned(),
    }];
    if matches!(model.state, StateName::Loaded | StateName::Busy) {
        parts.push(text::size(memory(&instance)));
    }
    if instance.pinned {
        parts.push("pinned".to_owned());
    }
    parts.join(", ")
}

/// What the worker has; before that was measured, what was set aside for it.
fn memory(instance: &Instance) -> u64 {
    if instance.memory_bytes > 0 {
        instance.memory_bytes
    } else {
        instance.estimated_bytes
    }
}

/// Such as `cpu, 4bit, 4096 tokens, until 14:32`, or the size on the disk.
fn detail(model: &Model, zone: &TimeZone) -> String {
    let loaded = matches!(model.state, StateName::Loaded | StateName::Busy);
    let Some(instance) = model.instance.as_ref().filter(|_| loaded) else {
        return format!("{} on the disk", text::size(model.size_bytes));
    };
    let mut parts = vec![text::name(&instance.device)];
    parts.extend(instance.level.map(|level| level.as_str().to_owned()));
    if instance.context_length > 0 {
        parts.push(format!("{} tokens", instance.context_length));
    }
    let end = instance.expires_at.and_then(|end| text::time_of_day(end, zone));
    parts.extend(end.map(|time| format!("until {time}")));
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}
