//! The ways a model can be loaded, best first.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::Fault;
use crate::hardware::Device;
use crate::memory::{PackageEstimate, Quantization, VariantEstimate, ladder};
use crate::name::ModelName;

use super::accounts::DeviceFacts;
use super::demand::Wishes;
use super::record::{Facts, Record};
use super::{Residency, refusals};

/// One way to load a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoadOption {
    /// The graph file, relative to the package.
    pub variant: String,
    pub level: Quantization,
    pub device: Device,
    /// Tokens of one conversation.
    pub context_length: u32,
    /// Memory it takes, bytes.
    pub bytes: u64,
}

/// What is known of a package's needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageFacts {
    pub estimate: PackageEstimate,
    /// What it really took, bytes, by variant, context and device.
    pub learned: BTreeMap<(String, u32, Device), u64>,
    /// What to multiply estimates with, percent; 100 unless one was too small before.
    pub factor_percent: u64,
    /// How long a load takes.
    pub load_time: Option<Duration>,
}

impl PackageFacts {
    pub(super) fn learn(&mut self, option: &LoadOption, bytes: u64) {
        let key = (option.variant.clone(), option.context_length, option.device);
        self.learned.insert(key, bytes);
    }

    /// The learned figure of an option.
    pub(super) fn learned(&self, variant: &str, context: u32, device: Device) -> Option<u64> {
        self.learned.get(&(variant.to_owned(), context, device)).copied()
    }
}

impl Record {
    /// Every way to load it that the wishes allow, best first; an error if there is none.
    pub(super) fn options(
        &self,
        name: &ModelName,
        wishes: Wishes,
        usual_context: u32,
        devices: &[DeviceFacts],
    ) -> Result<Vec<LoadOption>, Fault> {
        let Facts::Known(facts) = &self.facts else {
            return Ok(Vec::new());
        };
        let declared = facts.estimate.context_length;
        let context = context_length(name, wishes.context_length, usual_context, declared)?;
        let options: Vec<LoadOption> = devices
            .iter()
            .flat_map(|device| self.options_on(facts, device, context))
            .filter(|option| wishes.level.is_none_or(|level| option.level == level))
            .collect();
        if options.is_empty() {
            return Err(refusals::no_such_level(name, wishes.level, &facts.estimate));
        }
        Ok(options)
    }

    fn options_on(&self, facts: &PackageFacts, device: &DeviceFacts, context: u32) -> Vec<LoadOption> {
        let able = |variant: &&VariantEstimate| match (variant.compute_capability_min, device.device) {
            (None, _) | (Some(_), Device::Cpu) => true,
            (Some(least), Device::Cuda(_) | Device::Rocm(_)) => {
                device.compute_capability.is_some_and(|has| has >= least)
            }
        };
        ladder(device.device, device.compute_capability)
            .into_iter()
            .flat_map(|level| {
                let variants = facts.estimate.variants.iter().filter(able);
                variants.filter(move |variant| variant.level == level)
            })
            .map(|variant| LoadOption {
                variant: variant.file.clone(),
                level: variant.level,
                device: device.device,
                context_length: context,
                bytes: self.bytes(facts, variant, context, device.device),
            })
            .collect()
    }

    fn bytes(&self, facts: &PackageFacts, variant: &VariantEstimate, context: u32, device: Device) -> u64 {
        let computed = variant.footprint(context).total();
        let learned = facts.learned(&variant.file, context, device);
        // What was measured needs no correction, unless a load has just died of it.
        let factor = match learned {
            Some(_) if !self.needs_room => 100,
            Some(_) | None => self.factor_percent(),
        };
        let expected = u128::from(learned.unwrap_or(computed));
        let corrected = expected * u128::from(factor) / 100;
        u64::try_from(corrected).unwrap_or(u64::MAX)
    }
}

fn context_length(
    name: &ModelName,
    wish: Option<u32>,
    usual: u32,
    declared: Option<u32>,
) -> Result<u32, Fault> {
    match (wish, declared) {
        (Some(wish), Some(declared)) if wish > declared => {
            Err(refusals::context_too_long(name, wish, declared))
        }
        (Some(wish), _) => Ok(wish),
        (None, declared) => Ok(declared.map_or(usual, |declared| usual.min(declared))),
    }
}

impl Residency {
    /// The ways to load a model, best first.
    pub fn options(&self, name: &ModelName, wishes: Wishes) -> Result<Vec<LoadOption>, Fault> {
        self.models.get(name).map_or_else(
            || Ok(Vec::new()),
            |record| {
                record.options(
                    name,
                    wishes,
                    self.policy.context_length,
                    &self.devices.for_models(),
                )
            },
        )
    }

    /// What its load would take by parts, and what was learned; `None` while its files have not
    /// been looked at.
    #[must_use]
    pub fn details(&self, name: &ModelName, option: &LoadOption) -> Option<(VariantEstimate, Option<u64>)> {
        let Facts::Known(facts) = &self.models.get(name)?.facts else {
            return None;
        };
        let variant = facts
            .estimate
            .variants
            .iter()
            .find(|variant| variant.file == option.variant)?;
        let learned = facts.learned(&option.variant, option.context_length, option.device);
        Some((variant.clone(), learned))
    }

    /// True once its files have been looked at, whatever came of it.
    pub fn facts_known(&self, name: &ModelName) -> Result<bool, Fault> {
        match self.models.get(name).map(|record| &record.facts) {
            Some(Facts::Known(_)) => Ok(true),
            Some(Facts::Broken(fault)) => Err(fault.clone()),
            Some(Facts::Unknown | Facts::Asked) | None => Ok(false),
        }
    }
}
