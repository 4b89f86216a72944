//! What goes on, in one line.

use airunner_core::lifecycle::StateName;
use airunner_core::model::Model;

pub(super) fn of(models: &[Model]) -> String {
    let count = |state: StateName| models.iter().filter(|model| model.state == state).count();
    let (loaded, busy) = (count(StateName::Loaded), count(StateName::Busy));
    let (loading, unloading) = (count(StateName::Loading), count(StateName::Unloading));
    let mut parts = Vec::new();
    for (number, what) in [(loading, "loading"), (unloading, "unloading"), (busy, "at work")] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    let memory = match loaded + busy {
        0 => "no model in memory".to_owned(),
        1 => "1 model in memory".to_owned(),
        number => format!("{number} models in memory"),
    };
    parts.insert(0, memory);
    parts.join(", ")
}
