//! Whether an operation could start now.

use crate::memory::{Permission, PermissionReason, display_bytes};
use crate::model::ModelKind;
use crate::name::ModelName;

use super::demand::Wishes;
use super::record::{Place, Record};
use super::{Residency, refusals};

impl Residency {
    /// Yes, or the reason with figures. Models of other kinds count too: what is being loaded,
    /// unloaded or answered by anybody makes the application busy.
    #[must_use]
    pub fn can_perform(&self, kind: ModelKind, model: Option<&ModelName>) -> Permission {
        let label = kind.as_str().to_uppercase();
        let active: Vec<ModelName> = self.resident().map(|(name, _)| name.clone()).collect();
        let any = |test: fn(&Place) -> bool| self.resident().any(|(_, record)| test(&record.place));
        let busy = |reason, doing: &str| {
            Permission::no(
                reason,
                format!("{label} is currently {doing}. Please wait."),
                &active,
            )
        };
        if any(|place| matches!(place, Place::Loading { .. })) {
            return busy(PermissionReason::Loading, "loading");
        }
        if any(|place| matches!(place, Place::Leaving)) {
            return busy(PermissionReason::Unloading, "unloading");
        }
        if any(|place| matches!(place, Place::Busy { .. })) {
            return busy(PermissionReason::Processing, "processing");
        }
        let Some(name) = model else {
            return Permission::yes(&active);
        };
        let Some(record) = self.models.get(name) else {
            let message = format!("no model is called {name}: \"airunner models\" lists what is installed");
            return Permission::no(PermissionReason::NotInstalled, message, &active);
        };
        self.has_room(&label, name, record, &active)
    }

    fn has_room(&self, label: &str, name: &ModelName, record: &Record, active: &[ModelName]) -> Permission {
        if record.is_resident() {
            return Permission::yes(active);
        }
        let options = match self
            .facts_known(name)
            .and_then(|_| self.options(name, Wishes::default()))
        {
            Ok(options) => options,
            Err(fault) => return Permission::no(PermissionReason::NotInstalled, fault.message, active),
        };
        let room = |device| {
            let going = self.resident().filter(|(_, record)| {
                record.device() == Some(device) && record.place == Place::Idle && !record.pinned
            });
            let going = going.map(|(_, record)| record.reserved());
            let overdraft = self.accounts(device).map_or(0, |accounts| accounts.overdraft());
            going
                .fold(self.free(device), u64::saturating_add)
                .saturating_sub(overdraft)
        };
        if options.is_empty() || options.iter().any(|option| option.bytes <= room(option.device)) {
            return Permission::yes(active);
        }
        let Some(smallest) = options.iter().min_by_key(|option| option.bytes) else {
            return Permission::yes(active);
        };
        let available = room(smallest.device);
        let names = if active.is_empty() {
            "none".to_owned()
        } else {
            refusals::list(active)
        };
        let message = format!(
            "Insufficient memory for {label}.\n\nRequired: ~{}\nAvailable: {}\nActive models: {names}\n\n\
             Please close other models first.",
            display_bytes(smallest.bytes),
            display_bytes(available)
        );
        Permission {
            required_bytes: smallest.bytes,
            available_bytes: available,
            ..Permission::no(PermissionReason::InsufficientMemory, message, active)
        }
    }
}
