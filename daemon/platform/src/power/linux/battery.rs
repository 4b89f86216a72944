//! The battery, as the kernel tells it.

use std::fs;
use std::path::Path;

const SUPPLIES: &str = "/sys/class/power_supply";

/// `None` without a battery of the machine itself.
pub(super) fn on_battery() -> Option<bool> {
    on_battery_at(Path::new(SUPPLIES))
}

/// Mice have batteries too: those of scope `Device` do not count. A machine without a mains supply
/// says it by its battery discharging.
fn on_battery_at(supplies: &Path) -> Option<bool> {
    let mut discharging = None;
    let mut mains = None;
    for supply in fs::read_dir(supplies).ok()?.flatten() {
        let read = |name: &str| {
            let text = fs::read_to_string(supply.path().join(name)).unwrap_or_default();
            text.trim().to_owned()
        };
        if read("scope") == "Device" {
            continue;
        }
        match &*read("type") {
            "Battery" => {
                let now = read("status") == "Discharging";
                discharging = Some(discharging.unwrap_or(false) || now);
            }
            "Mains" | "USB" => {
                let online = read("online") == "1";
                mains = Some(mains.unwrap_or(false) || online);
            }
            _ => {}
        }
    }
    let discharging = discharging?;
    Some(mains.map_or(discharging, |online| !online && discharging))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(supplies: &[&[(&str, &str)]]) -> Option<bool> {
        let root = tempfile::tempdir().unwrap();
        for (number, files) in supplies.iter().enumerate() {
            let folder = root.path().join(number.to_string());
            fs::create_dir(&folder).unwrap();
            for (name, text) in *files {
                fs::write(folder.join(name), format!("{text}\n")).unwrap();
            }
        }
        on_battery_at(root.path())
    }

    #[test]
    fn a_machine_is_on_battery_when_nothing_else_feeds_it() {
        let full = [("type", "Battery"), ("status", "Full")];
        let drains = [("type", "Battery"), ("status", "Discharging")];
        let mouse = [
            ("type", "Battery"),
            ("status", "Discharging"),
            ("scope", "Device"),
        ];
        let plugged = [("type", "Mains"), ("online", "1")];
        let unplugged = [("type", "Mains"), ("online", "0")];
        for (supplies, expected) in [
            (&[][..], None),
            (&[&plugged[..]], None),
            (&[&mouse[..]], None),
            (&[&full[..], &plugged[..]], Some(false)),
            (&[&drains[..], &unplugged[..], &mouse[..]], Some(true)),
            (&[&drains[..], &plugged[..]], Some(false)),
            (&[&drains[..]], Some(true)),
            (&[&full[..], &unplugged[..]], Some(false)),
        ] {
            assert_eq!(machine(supplies), expected, "{supplies:?}");
        }
        assert_eq!(on_battery_at(Path::new("/nonexistent")), None);
    }
}
