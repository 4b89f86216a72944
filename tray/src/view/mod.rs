//! From what is known to what is seen: a pure function, compared whole in its tests.

mod activities;
mod downloads;
mod menu;
mod models;
mod notifications;
mod status;
#[cfg(test)]
mod tests;
mod text;

use airunner_core::ErrorKind;
use airunner_core::memory::MemoryBreakdown;
use jiff::tz::TimeZone;

use crate::state::{Daemon, Running, State, Upgrade};

pub(crate) use menu::{Action, Command, Entry, Target, View};

/// Draws everything. Times of day are told in `zone`.
pub(crate) fn view(state: &State, zone: &TimeZone) -> View {
    let status = status::line(state, zone);
    let mut menu = vec![Entry::Text(status.clone())];
    menu.extend(reason(state));
    menu.extend(troubles(state));
    menu.extend(question(state));
    match &state.daemon {
        Daemon::Running(running) => menu.extend(running_part(running, zone)),
        Daemon::Unusable(fault) if fault.kind == ErrorKind::ProtocolMismatch => {
            menu.push(Entry::item("Restart the daemon", Action::Ask(Command::Restart)));
        }
        Daemon::NotRunning | Daemon::Unusable(_) => {
            menu.push(Entry::item("Start the daemon", Action::Ask(Command::Start)));
        }
        Daemon::Unknown | Daemon::Starting => menu.push(Entry::maybe("Start the daemon", None)),
    }
    menu.push(Entry::Separator);
    menu.extend(always(state));
    View {
        icon: status::icon(state),
        status,
        menu,
    }
}

fn running_part(running: &Running, zone: &TimeZone) -> Vec<Entry> {
    let mut entries: Vec<Entry> = upgrade(running).into_iter().collect();
    entries.extend(notifications::entry(running));
    entries.push(Entry::Separator);
    entries.extend(models::entries(running, zone));
    for work in [downloads::entries(running), activities::entries(running)] {
        if !work.is_empty() {
            entries.push(Entry::Separator);
            entries.extend(work);
        }
    }
    entries.push(Entry::Separator);
    entries.extend(running.memory.iter().map(memory_line));
    entries.push(Entry::item("Free memory now", Action::Ask(Command::Free)));
    entries.push(match running.paused {
        None => Entry::item("Pause", Action::Ask(Command::Pause)),
        Some(_) => Entry::item("Resume", Action::Ask(Command::Resume)),
    });
    entries
}

/// What is left to do after an upgrade.
fn upgrade(running: &Running) -> Option<Entry> {
    Some(match running.upgrade? {
        Upgrade::Daemon => Entry::item(
            "Restart the daemon to finish the upgrade",
            Action::Ask(Command::Restart),
        ),
        Upgrade::Tray => Entry::Text("Quit the tray and start it again to finish the upgrade".to_owned()),
    })
}

/// Such as `Memory (cpu): models have 1.2 GiB of 12.0 GiB`.
fn memory_line(memory: &MemoryBreakdown) -> Entry {
    Entry::Text(format!(
        "Memory ({}): models have {} of {}",
        memory.device,
        text::size(memory.models_bytes),
        text::size(memory.budget_bytes)
    ))
}

/// Why a daemon that is there cannot be used.
fn reason(state: &State) -> Vec<Entry> {
    match &state.daemon {
        Daemon::Unusable(fault) => text::lines(&fault.message).into_iter().map(Entry::Text).collect(),
        Daemon::Unknown | Daemon::NotRunning | Daemon::Starting | Daemon::Running(_) => Vec::new(),
    }
}

fn troubles(state: &State) -> Option<Entry> {
    if state.troubles.is_empty() {
        return None;
    }
    let newest_first = state.troubles.iter().rev();
    let mut entries: Vec<Entry> = newest_first
        .flat_map(|trouble| text::lines(&trouble.text))
        .map(Entry::Text)
        .collect();
    entries.push(Entry::Separator);
    entries.push(Entry::item("Logs", Action::Open(Target::Logs)));
    entries.push(Entry::item("Dismiss", Action::Dismiss));
    let label = format!("Needs attention ({})", state.troubles.len());
    Some(Entry::submenu(label, entries))
}

/// Asked once: nothing starts by itself that nobody wanted.
fn question(state: &State) -> Option<Entry> {
    let answers = [
        ("Yes, start it at login", Command::SetLogin(true)),
        ("No", Command::DeclineLogin),
    ];
    let answers = answers.map(|(label, command)| Entry::item(label, Action::Ask(command)));
    let label = "Start AI Runner when you log in?";
    (state.ask_about_login && state.login.is_some()).then(|| Entry::submenu(label, answers.into()))
}

/// What is there whether or not a daemon runs.
fn always(state: &State) -> Vec<Entry> {
    let running = match &state.daemon {
        Daemon::Running(running) => Some(running),
        Daemon::Unknown | Daemon::NotRunning | Daemon::Starting | Daemon::Unusable(_) => None,
    };
    let mut settings: Vec<Entry> = running.map(|running| switches(running)).unwrap_or_default();
    settings.push(Entry::item(
        "Open the settings file",
        Action::Open(Target::Settings),
    ));
    let mut entries = vec![
        Entry::submenu("Settings", settings),
        Entry::item("Logs", Action::Open(Target::Logs)),
    ];
    if let Some(running) = running {
        let page = documentation(running).map(|url| Action::Open(Target::Page(url)));
        entries.push(Entry::maybe("Documentation", page));
    }
    entries.push(Entry::Separator);
    let enabled = state.login.as_ref().is_some_and(|login| login.enabled);
    entries.push(Entry::Check {
        label: "Start at login".to_owned(),
        checked: enabled,
        action: state
            .login
            .as_ref()
            .map(|_| Action::Ask(Command::SetLogin(!enabled))),
    });
    let stays = running.is_none_or(|running| running.stays());
    if stays {
        entries.push(Entry::item("Quit tray", Action::Quit));
    }
    if running.is_some() {
        entries.push(Entry::item("Stop the daemon and quit", Action::StopAndQuit));
    }
    entries
}

/// Settings that are on or off and that somebody at a desktop may want to switch.
const SWITCHES: [(&str, &str); 4] = [
    (
        "desktop.run_in_background",
        "The daemon goes on when the tray is quit",
    ),
    ("notifications.enabled", "Notifications"),
    ("power.inhibit_sleep", "Keep the machine awake while it works"),
    ("power.unload_on_battery", "Unload idle models on battery"),
];

/// Those of them that this daemon has.
fn switches(running: &Running) -> Vec<Entry> {
    let entry = |(name, label): (&str, &str)| {
        let checked = running.switch(name)?;
        Some(Entry::Check {
            label: label.to_owned(),
            checked,
            action: Some(Action::Ask(Command::Switch(name.to_owned(), !checked))),
        })
    };
    SWITCHES.into_iter().filter_map(entry).collect()
}

/// Where the daemon serves the page that shows its HTTP API.
pub(crate) fn documentation(running: &Running) -> Option<String> {
    let base = running.http.urls.first()?;
    Some(format!("{}/docs", base.trim_end_matches('/')))
}
