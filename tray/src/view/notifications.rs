//! What the daemon has to say and nobody has answered: the same that is shown on the screen, for
//! those who were not there.

use airunner_core::notification::Notification;

use super::{Action, Command, Entry, text};
use crate::state::Running;

/// More than these are counted only.
const MOST: usize = 8;

pub(super) fn entry(running: &Running) -> Option<Entry> {
    let all = running.notifications.len();
    let newest_first = running.notifications.values().rev();
    let mut entries: Vec<Entry> = newest_first.take(MOST).map(one).collect();
    let others = all.saturating_sub(MOST) as u64;
    if others > 0 {
        entries.push(Entry::Text(text::count(others, "more notification")));
    }
    (all > 0).then(|| Entry::submenu(format!("Notifications ({all})"), entries))
}

fn one(told: &Notification) -> Entry {
    let mut entries: Vec<Entry> = text::paragraphs(&told.body)
        .into_iter()
        .map(Entry::Text)
        .collect();
    entries.extend(told.buttons.iter().map(|button| {
        let answer = Command::Answer(told.id, button.key.clone());
        Entry::item(text::name(&button.label), Action::Ask(answer))
    }));
    let dismiss = Command::DismissNotification(told.id);
    entries.push(Entry::item("Dismiss", Action::Ask(dismiss)));
    Entry::submenu(text::name(&told.title), entries)
}
