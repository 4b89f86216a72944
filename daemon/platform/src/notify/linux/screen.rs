//! What is on the screen, and which of the desktop's numbers is which notification.

use std::collections::BTreeMap;

use airunner_core::notification::{Notification, NotificationId};

/// So many are remembered after they have left: who answers late is still understood.
const REMEMBERED: usize = 256;

#[derive(Debug)]
struct Entry {
    id: NotificationId,
    keys: Vec<String>,
    /// Still on the screen.
    is_open: bool,
    /// A button was pressed, so that its leaving is no news.
    is_answered: bool,
}

/// By the number that the desktop gave.
#[derive(Debug, Default)]
pub(super) struct Screen {
    entries: BTreeMap<u32, Entry>,
}

impl Screen {
    pub(super) fn put(&mut self, number: u32, notification: &Notification) {
        let entry = Entry {
            id: notification.id,
            keys: notification
                .buttons
                .iter()
                .map(|button| button.key.clone())
                .collect(),
            is_open: true,
            is_answered: false,
        };
        self.entries.insert(number, entry);
        self.forget_the_oldest();
    }

    fn forget_the_oldest(&mut self) {
        let gone: Vec<u32> = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.is_open)
            .map(|(number, _)| *number)
            .collect();
        for number in gone.iter().rev().skip(REMEMBERED) {
            self.entries.remove(number);
        }
    }

    /// Where it is on the screen.
    pub(super) fn number_of(&self, id: NotificationId) -> Option<u32> {
        let mut open = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_open && entry.id == id);
        open.next_back().map(|(number, _)| *number)
    }

    /// Whose button that is, if it is one of ours.
    pub(super) fn acted(&mut self, number: u32, key: &str) -> Option<NotificationId> {
        let entry = self.entries.get_mut(&number)?;
        if !entry.keys.iter().any(|known| known == key) {
            return None;
        }
        entry.is_answered = true;
        Some(entry.id)
    }

    /// Which one left the screen unanswered.
    pub(super) fn closed(&mut self, number: u32) -> Option<NotificationId> {
        let entry = self.entries.get_mut(&number)?;
        let was_open = std::mem::replace(&mut entry.is_open, false);
        (was_open && !entry.is_answered).then_some(entry.id)
    }

    /// Takes it off; the number is what the desktop has to be told.
    pub(super) fn withdraw(&mut self, id: NotificationId) -> Option<u32> {
        let number = self.number_of(id)?;
        self.entries.get_mut(&number)?.is_open = false;
        Some(number)
    }

    /// Everything is gone; those that nobody had answered.
    pub(super) fn lose(&mut self) -> Vec<NotificationId> {
        let entries = std::mem::take(&mut self.entries).into_values();
        entries
            .filter(|entry| entry.is_open && !entry.is_answered)
            .map(|entry| entry.id)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use airunner_core::notification::{NewNotification, NotificationKind};

    use super::*;

    fn notification(id: u64) -> Notification {
        let made = NewNotification::new(NotificationKind::Test, "", "");
        Notification::waiting(
            NotificationId(id),
            &made,
            &[("load", "Load")],
            SystemTime::UNIX_EPOCH,
        )
    }

    #[test]
    fn a_press_is_understood_also_late_and_only_of_buttons_that_are_there() {
        let mut screen = Screen::default();
        screen.put(5, &notification(1));
        assert_eq!(screen.acted(5, "unload"), None);
        assert_eq!(screen.acted(6, "load"), None);
        assert_eq!(screen.closed(5), Some(NotificationId(1)));
        assert_eq!(screen.closed(5), None);
        assert_eq!(screen.acted(5, "load"), Some(NotificationId(1)));
    }

    #[test]
    fn that_an_answered_one_leaves_is_no_news() {
        let mut screen = Screen::default();
        screen.put(5, &notification(1));
        assert!(screen.acted(5, "load").is_some());
        assert_eq!(screen.number_of(NotificationId(1)), Some(5));
        assert_eq!(screen.closed(5), None);
        assert_eq!(screen.number_of(NotificationId(1)), None);
    }

    #[test]
    fn what_is_withdrawn_or_lost_is_not_on_the_screen() {
        let mut screen = Screen::default();
        for number in 1..=3 {
            screen.put(number, &notification(u64::from(number)));
        }
        assert_eq!(screen.withdraw(NotificationId(2)), Some(2));
        assert_eq!(screen.withdraw(NotificationId(2)), None);
        assert_eq!(screen.closed(2), None);
        assert_eq!(screen.lose(), [NotificationId(1), NotificationId(3)]);
        assert_eq!(screen.lose(), []);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_open_stays() {
        let mut screen = Screen::default();
        screen.put(1, &notification(1));
        for number in 2..1000 {
            screen.put(number, &notification(u64::from(number)));
            screen.closed(number);
        }
        assert!(screen.entries.len() <= REMEMBERED + 2);
        assert_eq!(screen.number_of(NotificationId(1)), Some(1));
        assert_eq!(screen.acted(999, "load"), Some(NotificationId(999)));
    }
}
