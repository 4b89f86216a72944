//! Words of the command line that are values of the domain.

use airunner_core::Fault;
use airunner_core::access::Scope;
use airunner_core::memory::{DeviceClass, Quantization};
use clap::builder::{PossibleValuesParser, TypedValueParser};

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
