//! Settings.

use airunner_core::Fault;
use airunner_core::settings::{Applies, Pending, Setting, SettingChange, SettingSource};
use prost::Message as _;

use super::wire::{answered, at_most, at_most_bytes, known, required};
use crate::v1;

/// Settings of one call.
const MAX_SETTINGS: usize = 256;
/// Longest name, bytes.
const MAX_NAME_BYTES: usize = 128;
/// Longest value, bytes: a list of many models.
const MAX_VALUE_BYTES: usize = 64 << 10;

impl From<Setting> for v1::Setting {
    fn from(setting: Setting) -> Self {
        Self {
            section: setting.section,
            key: setting.key,
            value: setting.value,
            default_value: setting.default,
            source: setting.source.as_str().to_owned(),
            allowed: setting.allowed,
            help: setting.help,
            applies: setting.applies.as_str().to_owned(),
            pending: setting.pending.as_str().to_owned(),
        }
    }
}

impl TryFrom<v1::Setting> for Setting {
    type Error = Fault;

    fn try_from(wire: v1::Setting) -> Result<Self, Fault> {
        Ok(Self {
            source: known(SettingSource::parse(&wire.source), "setting.source", &wire.source)?,
            applies: known(Applies::parse(&wire.applies), "setting.applies", &wire.applies)?,
            pending: known(Pending::parse(&wire.pending), "setting.pending", &wire.pending)?,
            section: wire.section,
            key: wire.key,
            value: wire.value,
            default: wire.default_value,
            allowed: wire.allowed,
            help: wire.help,
        })
    }
}

impl From<Vec<Setting>> for v1::SettingsResponse {
    fn from(settings: Vec<Setting>) -> Self {
        Self {
            settings: settings.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::SettingsResponse> for Vec<Setting> {
    type Error = Fault;

    fn try_from(wire: v1::SettingsResponse) -> Result<Self, Fault> {
        wire.settings.into_iter().map(TryInto::try_into).collect()
    }
}

impl From<Vec<SettingChange>> for v1::SetSettingsRequest {
    fn from(values: Vec<SettingChange>) -> Self {
        let value = |value: SettingChange| v1::SettingValue {
            name: value.name,
            value: value.value,
        };
        Self {
            values: values.into_iter().map(value).collect(),
        }
    }
}

impl TryFrom<v1::SetSettingsRequest> for Vec<SettingChange> {
    type Error = Fault;

    fn try_from(wire: v1::SetSettingsRequest) -> Result<Self, Fault> {
        at_most(wire.values.len(), MAX_SETTINGS, "values")?;
        let value = |value: v1::SettingValue| {
            at_most_bytes(&value.name, MAX_NAME_BYTES, "values.name")?;
            at_most_bytes(
                value.value.as_deref().unwrap_or_default(),
                MAX_VALUE_BYTES,
                "values.value",
            )?;
            Ok(SettingChange {
                name: value.name,
                value: value.value,
            })
        };
        wire.values.into_iter().map(value).collect()
    }
}

/// Names of a request.
pub fn setting_names(names: Vec<String>) -> Result<Vec<String>, Fault> {
    at_most(names.len(), MAX_SETTINGS, "names")?;
    for name in &names {
        at_most_bytes(name, MAX_NAME_BYTES, "names")?;
    }
    Ok(names)
}

/// What `airunnerd settings` reads.
#[must_use]
pub fn command_to_bytes(command: v1::settings_command::Command) -> Vec<u8> {
    let command = v1::SettingsCommand {
        command: Some(command),
    };
    command.encode_to_vec()
}

/// What [`command_to_bytes`] wrote.
pub fn command_from_bytes(bytes: &[u8]) -> Result<v1::settings_command::Command, Fault> {
    let command = v1::SettingsCommand::decode(bytes).ok();
    required(command.and_then(|command| command.command), "command")
}

/// What `airunnerd settings` answers.
#[must_use]
pub fn answer_to_bytes(outcome: Result<Vec<Setting>, Fault>) -> Vec<u8> {
    v1::SettingsAnswer::from(outcome).encode_to_vec()
}

/// What [`answer_to_bytes`] wrote.
pub fn answer_from_bytes(bytes: &[u8]) -> Result<Vec<Setting>, Fault> {
    let answer = v1::SettingsAnswer::decode(bytes).ok();
    answered(answer, "settings")?.try_into()
}

impl From<Result<Vec<Setting>, Fault>> for v1::SettingsAnswer {
    fn from(outcome: Result<Vec<Setting>, Fault>) -> Self {
        use v1::settings_answer::Answer;
        let answer = match outcome {
            Ok(settings) => Answer::Settings(settings.into()),
            Err(fault) => Answer::Refused(fault.into()),
        };
        Self { answer: Some(answer) }
    }
}

impl TryFrom<v1::SettingsAnswer> for Vec<Setting> {
    type Error = Fault;

    fn try_from(wire: v1::SettingsAnswer) -> Result<Self, Fault> {
        use v1::settings_answer::Answer;
        match answered(wire.answer, "answer")? {
            Answer::Settings(settings) => settings.try_into(),
            Answer::Refused(fault) => Err(fault.into()),
        }
    }
}
