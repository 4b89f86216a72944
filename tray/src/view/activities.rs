//! What is worked on besides models and downloads, and how to give it up.

use airunner_core::activity::Activity;

use super::{Action, Command, Entry, text};
use crate::state::Running;

/// More than these are counted only.
const MOST: usize = 5;

pub(super) fn entries(running: &Running) -> Vec<Entry> {
    let mut entries: Vec<Entry> = running.activities.values().take(MOST).map(entry).collect();
    let others = running.activities.len().saturating_sub(MOST);
    if others > 0 {
        entries.push(Entry::Text(format!("{others} more of these")));
    }
    entries
}

fn entry(activity: &Activity) -> Entry {
    let cancel = Command::CancelActivity(activity.id);
    let label = format!("{}: {}", what(activity), activity.progress());
    Entry::submenu(label, vec![Entry::item("Cancel", Action::Ask(cancel))])
}

/// Such as `Quantizing tiny`.
pub(super) fn what(activity: &Activity) -> String {
    format!(
        "{} {}",
        activity.kind.doing(),
        text::name(activity.model.as_str())
    )
}
