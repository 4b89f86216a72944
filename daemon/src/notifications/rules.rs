//! What the user wants to be told, and when.

use std::time::Duration;

use airunner_core::notification::{NotificationKind, QuietHours};

use crate::config::NotificationsSettings;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub enabled: bool,
    /// Not told.
    pub disabled: Vec<NotificationKind>,
    /// Told later.
    pub quiet_hours: Option<QuietHours>,
    /// A wait that is worth telling when it is over.
    pub long: Duration,
}

impl From<&NotificationsSettings> for Rules {
    fn from(settings: &NotificationsSettings) -> Self {
        Self {
            enabled: settings.enabled,
            disabled: settings.disabled_kinds.clone(),
            quiet_hours: settings.quiet_hours,
            long: settings.long_wait,
        }
    }
}

impl Rules {
    pub(super) fn allow(&self, kind: NotificationKind) -> bool {
        self.enabled && !(kind.can_be_switched_off() && self.disabled.contains(&kind))
    }

    pub(super) fn is_quiet(&self, minute_of_day: u16) -> bool {
        self.quiet_hours
            .is_some_and(|hours| hours.contains(minute_of_day))
    }
}
