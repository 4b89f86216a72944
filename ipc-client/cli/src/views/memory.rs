//! Who has how much memory.

use airunner_core::memory::{Freed, MemoryBreakdown};
use serde::Serialize;

use crate::units;

/// `airunner memory`.
#[derive(Debug, Serialize)]
pub(crate) struct MemoryView {
    devices: Vec<DeviceRow>,
}

#[derive(Debug, Serialize)]
struct DeviceRow {
    device: String,
    total_bytes: u64,
    budget_bytes: u64,
    models_bytes: u64,
    canvas_history_bytes: u64,
    system_reserve_bytes: u64,
    external_apps_bytes: u64,
    free_bytes: u64,
}

impl From<&[MemoryBreakdown]> for MemoryView {
    fn from(devices: &[MemoryBreakdown]) -> Self {
        let row = |parts: &MemoryBreakdown| DeviceRow {
            device: parts.device.to_string(),
            total_bytes: parts.total_bytes,
            budget_bytes: parts.budget_bytes,
            models_bytes: parts.models_bytes,
            canvas_history_bytes: parts.canvas_history_bytes,
            system_reserve_bytes: parts.system_reserve_bytes,
            external_apps_bytes: parts.external_apps_bytes,
            free_bytes: parts.free_bytes,
        };
        Self {
            devices: devices.iter().map(row).collect(),
        }
    }
}

const BAR_WIDTH: usize = 60;
const FREE_MARK: char = '.';

/// One device for people: a bar of who has what, and its legend.
pub(crate) fn memory_lines(parts: &MemoryBreakdown) -> Vec<String> {
    let shares = [
        ('#', "models", parts.models_bytes),
        ('+', "canvas history", parts.canvas_history_bytes),
        ('o', "other programs", parts.external_apps_bytes),
        ('-', "kept for the system", parts.system_reserve_bytes),
        (FREE_MARK, "free for models", parts.free_bytes),
    ];
    let mut lines = vec![
        format!(
            "{}  {}, of which models and canvas history may have {}",
            parts.device,
            units::size(parts.total_bytes),
            units::size(parts.budget_bytes)
        ),
        format!("  [{}]", bar(&shares, parts.total_bytes)),
    ];
    for (mark, name, bytes) in shares {
        lines.push(format!("  {mark}  {name:<20} {:>9}", units::size(bytes)));
    }
    lines
}

/// Every share has its place by its cumulated size, so that no rounding adds up; one that is
/// not empty is seen.
fn bar(shares: &[(char, &str, u64)], total: u64) -> String {
    let mut drawn = String::new();
    let (mut width, mut before) = (0, 0_u128);
    for (mark, _, bytes) in shares {
        before += u128::from(*bytes);
        let width_128 = before * BAR_WIDTH as u128 / u128::from(total.max(1));
        let end = usize::try_from(width_128).unwrap_or(BAR_WIDTH);
        let end = end.max(width + usize::from(*bytes > 0)).min(BAR_WIDTH);
        drawn.extend(std::iter::repeat_n(*mark, end - width));
        width = end;
    }
    drawn.extend(std::iter::repeat_n(FREE_MARK, BAR_WIDTH - width));
    drawn
}

/// `airunner free`.
#[derive(Debug, Serialize)]
pub(crate) struct FreedView {
    unloaded: Vec<String>,
    freed_bytes: u64,
}

impl From<&Freed> for FreedView {
    fn from(freed: &Freed) -> Self {
        Self {
            unloaded: freed.unloaded.iter().map(ToString::to_string).collect(),
            freed_bytes: freed.freed_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use airunner_core::hardware::Device;
    use serde_json::json;

    use super::super::samples::value;
    use super::*;

    fn parts() -> MemoryBreakdown {
        MemoryBreakdown {
            device: Device::Cpu,
            total_bytes: 60 << 30,
            budget_bytes: 48 << 30,
            models_bytes: 10 << 30,
            canvas_history_bytes: 1,
            system_reserve_bytes: 2 << 30,
            external_apps_bytes: 10 << 30,
            free_bytes: (38 << 30) - 1,
        }
    }

    #[test]
    fn the_memory_has_the_fields_of_the_contract() {
        assert_eq!(
            value(&MemoryView::from(&[parts()][..])),
            json!({ "devices": [{
                "device": "cpu", "total_bytes": 60_u64 << 30, "budget_bytes": 48_u64 << 30,
                "models_bytes": 10_u64 << 30, "canvas_history_bytes": 1, "system_reserve_bytes": 2_u64 << 30,
                "external_apps_bytes": 10_u64 << 30, "free_bytes": (38_u64 << 30) - 1
            }] })
        );
    }

    #[test]
    fn people_see_a_bar_of_who_has_what() {
        let lines = memory_lines(&parts());
        assert_eq!(
            lines[0],
            "cpu  60.0 GiB, of which models and canvas history may have 48.0 GiB"
        );
        let bar = format!("  [{}+{}--{}]", "#".repeat(10), "o".repeat(9), ".".repeat(38));
        assert_eq!(lines[1], bar);
        assert_eq!(lines[2], "  #  models                10.0 GiB");
        assert_eq!(lines.len(), 7);
    }

    #[test]
    fn a_bar_has_its_width_whatever_the_figures_are() {
        let huge = u64::MAX;
        for (shares, total) in [
            ([0, 0, 0], 0),
            ([huge, huge, huge], 1),
            ([1, 1, 1], huge),
            ([0, huge, 1], huge),
        ] {
            let shares = shares.map(|bytes| ('x', "", bytes));
            assert_eq!(bar(&shares, total).chars().count(), BAR_WIDTH);
        }
    }

    #[test]
    fn what_was_freed_has_the_fields_of_the_contract() {
        let freed = Freed {
            unloaded: vec![super::super::samples::name("a/b")],
            freed_bytes: 7,
        };
        assert_eq!(
            value(&FreedView::from(&freed)),
            json!({ "unloaded": ["a/b"], "freed_bytes": 7 })
        );
    }
}
