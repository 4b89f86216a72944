//! Words of the command line that are values of the domain.

use std::ffi::OsStr;

use airunner_core::Fault;
use airunner_core::access::Scope;
use airunner_core::memory::{DeviceClass, Quantization};
use airunner_core::settings::NAMES;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};

/// A precision.
pub(crate) fn level() -> impl TypedValueParser<Value = Quantization> {
    PossibleValuesParser::new(Quantization::ALL.map(Quantization::as_str)).try_map(|text| {
        Quantization::parse(&text).ok_or_else(|| Fault::invalid(format!("\"{text}\" is no precision")))
    })
}

/// Main memory or the GPUs.
pub(crate) fn device_class() -> impl TypedValueParser<Value = DeviceClass> {
    PossibleValuesParser::new(DeviceClass::ALL.map(DeviceClass::as_str)).try_map(|text| {
        DeviceClass::parse(&text).ok_or_else(|| Fault::invalid(format!("\"{text}\" is no device")))
    })
}

/// What a key is good for.
pub(crate) fn scope() -> impl TypedValueParser<Value = Scope> {
    PossibleValuesParser::new(Scope::ALL.map(Scope::as_str))
        .try_map(|text| Scope::parse(&text).ok_or_else(|| Fault::invalid(format!("\"{text}\" is no scope"))))
}

/// The name of a setting. Shells complete it; whoever mistypes it is not told all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SettingName;

impl TypedValueParser for SettingName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let parsed = PossibleValuesParser::new(NAMES).parse_ref(command, argument, value);
        parsed.map_err(|mut error| {
            drop(error.remove(ContextKind::ValidValue));
            let tip = "\"airunner settings list\" shows every setting".into();
            drop(error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip])));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(NAMES.into_iter().map(PossibleValue::new)))
    }
}
