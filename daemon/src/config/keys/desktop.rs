//! How the program behaves on somebody's desk and on battery, and what it tells.

use airunner_core::settings::Applies;

use super::{Key, seconds};
use crate::config::value::{notification_kinds, quiet_hours, switch, whole};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "notifications",
        name: "enabled",
        default: "true",
        allowed: "true, false",
        applies: Applies::AtOnce,
        help: "tell you on the screen what happened and what can be done about it",
        set: |settings, raw| switch(raw).map(|on| settings.notifications.enabled = on),
    },
    Key {
        section: "notifications",
        name: "disabled_kinds",
        default: "[]",
        allowed: "names of kinds of notifications",
        applies: Applies::AtOnce,
        help: "kinds of notifications you do not want, such as \"model_loaded\"",
        set: |settings, raw| {
            notification_kinds(raw).map(|kinds| settings.notifications.disabled_kinds = kinds)
        },
    },
    Key {
        section: "notifications",
        name: "quiet_hours",
        default: "\"\"",
        allowed: "times of day such as \"22:00-07:00\", or \"\"",
        applies: Applies::AtOnce,
        help: "hours in which nothing appears on the screen; what happens waits until they are over",
        set: |settings, raw| quiet_hours(raw).map(|hours| settings.notifications.quiet_hours = hours),
    },
    Key {
        section: "notifications",
        name: "long_wait_seconds",
        default: "20",
        allowed: "1 to 86400",
        applies: Applies::AtOnce,
        help: "a load, a download or a job that took so long is worth a notification when it is done",
        set: |settings, raw| whole(raw, 1, 86_400).map(|n| settings.notifications.long_wait = seconds(n)),
    },
    Key {
        section: "desktop",
        name: "run_in_background",
        default: "true",
        allowed: "true, false",
        applies: Applies::AtOnce,
        help: "the daemon goes on when the tray icon is quit",
        set: |settings, raw| switch(raw).map(|on| settings.desktop.run_in_background = on),
    },
    Key {
        section: "power",
        name: "inhibit_sleep",
        default: "true",
        allowed: "true, false",
        applies: Applies::AtOnce,
        help: "the machine does not go to sleep by itself while it answers, downloads or makes a model",
        set: |settings, raw| switch(raw).map(|on| settings.power.inhibit_sleep = on),
    },
    Key {
        section: "power",
        name: "unload_on_battery",
        default: "false",
        allowed: "true, false",
        applies: Applies::AtOnce,
        help: "unload what is idle when the machine begins to run on battery",
        set: |settings, raw| switch(raw).map(|on| settings.power.unload_on_battery = on),
    },
];
