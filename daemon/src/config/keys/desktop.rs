//! How the program behaves on somebody's desk and on battery.

use airunner_core::settings::Applies;

use super::Key;
use crate::config::value::switch;

pub(super) const KEYS: &[Key] = &[
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
