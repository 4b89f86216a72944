//! The one line that says how things are, and the icon that says it from afar.

use airunner_core::ErrorKind;
use airunner_core::activity::Activity;
use airunner_core::download::Download;
use airunner_core::lifecycle::StateName;
use airunner_core::model::Model;

use jiff::tz::TimeZone;

use super::text;
use crate::icon::IconKind;
use crate::state::{Daemon, Running, State};

/// What is most worth knowing.
pub(super) fn line(state: &State, zone: &TimeZone) -> String {
    match &state.daemon {
        Daemon::Unknown => "Looking for the daemon".to_owned(),
        Daemon::NotRunning => "Daemon is not running".to_owned(),
        Daemon::Starting => "Starting the daemon".to_owned(),
        Daemon::Unusable(fault) if fault.kind == ErrorKind::ProtocolMismatch => {
            "The running daemon is of another version".to_owned()
        }
        Daemon::Unusable(_) => "The daemon cannot be used".to_owned(),
        Daemon::Running(running) => of_running(running, zone),
    }
}

pub(super) fn icon(state: &State) -> IconKind {
    let running = match &state.daemon {
        Daemon::Unknown | Daemon::NotRunning => return IconKind::Stopped,
        Daemon::Starting => return IconKind::Loading,
        Daemon::Unusable(_) => return IconKind::Warning,
        Daemon::Running(running) => running,
    };
    let any = |name| running.with_state(name).next().is_some();
    if !state.troubles.is_empty() {
        IconKind::Warning
    } else if running.paused.is_some() {
        IconKind::Paused
    } else if any(StateName::Loading) || running.active_downloads().next().is_some() {
        IconKind::Loading
    } else if any(StateName::Busy) || !running.activities.is_empty() {
        IconKind::Working
    } else {
        IconKind::Idle
    }
}

fn of_running(running: &Running, zone: &TimeZone) -> String {
    if running.stopping {
        return "The daemon is stopping".to_owned();
    }
    if let Some(pause) = running.paused {
        let until = pause.until.and_then(|until| text::time_of_day(until, zone));
        return until.map_or_else(|| "Paused".to_owned(), |time| format!("Paused until {time}"));
    }
    loading(running)
        .or_else(|| answering(running))
        .or_else(|| unloading(running))
        .or_else(|| waiting(running))
        .or_else(|| downloading(running))
        .or_else(|| working(running))
        .unwrap_or_else(|| "Idle".to_owned())
}

fn loading(running: &Running) -> Option<String> {
    let models: Vec<&Model> = running.with_state(StateName::Loading).collect();
    let first = models.first()?;
    let name = text::name(first.name.as_str());
    let progress = first.instance.as_ref().and_then(|instance| instance.progress);
    let percent = progress.map_or(0, |progress| text::load_percent(&progress));
    Some(format!("Loading {name} {percent} %{}", more(models.len())))
}

fn answering(running: &Running) -> Option<String> {
    let models: Vec<&Model> = running.with_state(StateName::Busy).collect();
    let name = text::name(models.first()?.name.as_str());
    Some(format!("Answering with {name}{}", more(models.len())))
}

fn unloading(running: &Running) -> Option<String> {
    let models: Vec<&Model> = running.with_state(StateName::Unloading).collect();
    let name = text::name(models.first()?.name.as_str());
    Some(format!("Unloading {name}{}", more(models.len())))
}

fn waiting(running: &Running) -> Option<String> {
    let model = running.models.values().find(|model| model.waiting_requests > 0)?;
    Some(format!("{} waits for memory", text::name(model.name.as_str())))
}

fn downloading(running: &Running) -> Option<String> {
    let downloads: Vec<&Download> = running.active_downloads().collect();
    let first = downloads.first()?;
    let name = text::name(first.name.as_str());
    let percent = text::percent(first.done_bytes, first.total_bytes);
    let percent = percent.map_or_else(String::new, |percent| format!(" {percent} %"));
    Some(format!("Downloading {name}{percent}{}", more(downloads.len())))
}

fn working(running: &Running) -> Option<String> {
    let goes_on = |activity: &&Activity| !activity.is_waiting;
    let all = &running.activities;
    let first = all.values().find(goes_on).or_else(|| all.values().next())?;
    let what = super::activities::what(first);
    let progress = if first.is_waiting {
        ", waiting for its turn".to_owned()
    } else {
        format!(" {} %", first.percent())
    };
    Some(format!("{what}{progress}{}", more(all.len())))
}

/// How many there are beside the one that is named.
fn more(all: usize) -> String {
    match all.saturating_sub(1) {
        0 => String::new(),
        others => format!(" and {others} more"),
    }
}
