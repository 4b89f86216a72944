//! Settings.

use airunner_core::settings::{Pending, Setting};
use serde::Serialize;
use serde_json::Value;

use crate::table::{Align, Table};

/// A setting, for scripts.
#[derive(Debug, Serialize)]
pub(crate) struct SettingView<'a> {
    name: String,
    section: &'a str,
    key: &'a str,
    value: Value,
    default: Value,
    source: &'static str,
    allowed: &'a str,
    help: &'a str,
    applies: &'static str,
    pending: &'static str,
}

impl<'a> From<&'a Setting> for SettingView<'a> {
    fn from(setting: &'a Setting) -> Self {
        Self {
            name: setting.name(),
            section: &setting.section,
            key: &setting.key,
            value: json(&setting.value),
            default: json(&setting.default),
            source: setting.source.as_str(),
            allowed: &setting.allowed,
            help: &setting.help,
            applies: setting.applies.as_str(),
            pending: setting.pending.as_str(),
        }
    }
}

pub(crate) fn setting_views(settings: &[Setting]) -> Vec<SettingView<'_>> {
    settings.iter().map(SettingView::from).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// As a person would write it.
pub(crate) fn plain(text: &str) -> String {
    let value = json(text);
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

pub(crate) fn settings_table(settings: &[Setting]) -> Table {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("VALUE", Align::Left),
        ("FROM", Align::Left),
        ("A CHANGE COUNTS", Align::Left),
        ("", Align::Left),
    ]);
    for setting in settings {
        let note = match setting.pending {
            Pending::Nothing => "",
            Pending::Reload => "after: airunner settings reload",
            Pending::Restart => "after: airunner restart",
        };
        table.row([
            setting.name(),
            setting.value.clone(),
            setting.source.as_str().to_owned(),
            setting.applies.to_string(),
            note.to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use airunner_core::settings::{Applies, SettingSource};
    use serde_json::json;

    use super::super::samples::value;
    use super::*;

    fn setting() -> Setting {
        Setting {
            section: "models".into(),
            key: "preload".into(),
            value: "[\"tiny\"]".into(),
            default: "[]".into(),
            source: SettingSource::File,
            allowed: "names of models".into(),
            help: "models that are loaded when the daemon starts".into(),
            applies: Applies::Restart,
            pending: Pending::Restart,
        }
    }

    #[test]
    fn scripts_get_values_and_people_a_table() {
        let expected = json!({
            "name": "models.preload", "section": "models", "key": "preload",
            "value": ["tiny"], "default": [], "source": "file",
            "allowed": "names of models", "help": "models that are loaded when the daemon starts",
            "applies": "restart", "pending": "restart",
        });
        assert_eq!(value(&SettingView::from(&setting())), expected);
        let (head, rows) = settings_table(&[setting()]).lines();
        assert_eq!(head, "NAME            VALUE     FROM  A CHANGE COUNTS");
        assert_eq!(
            rows,
            ["models.preload  [\"tiny\"]  file  after a restart  after: airunner restart"]
        );
        assert_eq!(
            (plain("\"5m\""), plain("[1]")),
            ("5m".to_owned(), "[1]".to_owned())
        );
    }
}
