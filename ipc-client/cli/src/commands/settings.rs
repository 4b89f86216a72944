//! What is set where, changed and applied.

use airunner_core::ErrorKind;
use airunner_core::settings::{Applies, Pending, Setting, SettingChange};
use airunner_ipc_client::{Client, Endpoint, OfflineSettings, Settings as Online, Starter};
use clap::{Args, Subcommand};

use crate::connection::{connect, places};
use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::run::Context;
use crate::value::SettingName;
use crate::views::{SettingView, plain, setting_views, settings_table};

#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List every setting, or those of a section.
    List {
        /// Such as `models`.
        section: Option<String>,
        /// Only those that are not the default.
        #[arg(long)]
        changed: bool,
    },
    /// Print the value of one setting.
    Get {
        /// Such as `models.keep_alive`.
        #[arg(value_parser = SettingName, hide_possible_values = true)]
        name: String,
    },
    /// Change one setting, at once where that is possible.
    Set {
        /// Such as `models.keep_alive`.
        #[arg(value_parser = SettingName, hide_possible_values = true)]
        name: String,
        /// A list is written one,two or ["one","two"].
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Take settings out of the file, so that their defaults count.
    Reset {
        /// Such as `models.keep_alive`.
        #[arg(required = true, value_parser = SettingName, hide_possible_values = true)]
        names: Vec<String>,
    },
    /// Have the daemon read the settings file again.
    Reload,
}

impl Settings {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let output = &context.output;
        let action = self.action.unwrap_or(Action::List {
            section: None,
            changed: false,
        });
        match action {
            Action::List { section, changed } => list(output, section.as_deref(), changed).await,
            Action::Get { name } => get(output, &name).await,
            Action::Set { name, value } => {
                let value = Some(value);
                change(output, vec![SettingChange { name, value }]).await
            }
            Action::Reset { names } => {
                let reset = |name| SettingChange { name, value: None };
                change(output, names.into_iter().map(reset).collect()).await
            }
            Action::Reload => reload(output).await,
        }
    }
}

/// The daemon, or its program where it does not run.
enum Way {
    Online(Online),
    Offline(Starter),
}

impl Way {
    async fn find() -> Result<Self, Failure> {
        match Client::connect(&Endpoint::of_daemon(&places()?)).await {
            Ok(client) => Ok(Self::Online(client.settings())),
            Err(fault) if fault.kind == ErrorKind::DaemonNotRunning => {
                Ok(Self::Offline(Starter::from_environment()?))
            }
            Err(fault) => Err(fault.into()),
        }
    }

    async fn list(&self) -> Result<Vec<Setting>, Failure> {
        Ok(match self {
            Self::Online(settings) => settings.list().await?,
            Self::Offline(starter) => OfflineSettings::new(starter.executable()).list().await?,
        })
    }

    async fn get(&self, name: &str) -> Result<Setting, Failure> {
        Ok(match self {
            Self::Online(settings) => settings.get(name).await?,
            Self::Offline(starter) => OfflineSettings::new(starter.executable()).get(name).await?,
        })
    }

    async fn change(&self, changes: Vec<SettingChange>) -> Result<Vec<Setting>, Failure> {
        Ok(match self {
            Self::Online(settings) => settings.change(changes).await?,
            Self::Offline(starter) => OfflineSettings::new(starter.executable()).change(changes).await?,
        })
    }
}

async fn list(output: &Output, section: Option<&str>, changed: bool) -> Result<(), Failure> {
    let mut settings = Way::find().await?.list().await?;
    if let Some(section) = section {
        settings.retain(|setting| setting.section == section);
        if settings.is_empty() {
            let message = format!("there is no section {section}: see all with \"airunner settings\"");
            return Err(Failure::Usage(message));
        }
    }
    if changed {
        settings.retain(|setting| setting.value != setting.default);
    }
    if output.is_json() {
        return output.value(&setting_views(&settings));
    }
    let table = settings_table(&settings);
    if table.is_empty() {
        return output.line("Every setting is the default.");
    }
    output.table(&table)
}

async fn get(output: &Output, name: &str) -> Result<(), Failure> {
    let setting = Way::find().await?.get(name).await?;
    if output.is_json() {
        return output.value(&SettingView::from(&setting));
    }
    output.line(&plain(&setting.value))?;
    if let Some(text) = missing(&setting) {
        output.note(&text);
    }
    Ok(())
}

async fn change(output: &Output, changes: Vec<SettingChange>) -> Result<(), Failure> {
    let way = Way::find().await?;
    let changed = way.change(changes).await?;
    if output.is_json() {
        return output.value(&setting_views(&changed));
    }
    let runs = matches!(way, Way::Online(_));
    for setting in &changed {
        output.line(&format!("{} is {}.", setting.name(), setting.value))?;
        if runs && let Some(text) = missing(setting) {
            output.pieces(&[(Style::Yellow, &text)])?;
        } else if runs && setting.applies == Applies::NextLoad {
            output.line("It counts for models that are loaded from now on.")?;
        }
    }
    Ok(())
}

async fn reload(output: &Output) -> Result<(), Failure> {
    let changed = connect().await?.settings().reload().await?;
    if output.is_json() {
        return output.value(&setting_views(&changed));
    }
    if changed.is_empty() {
        return output.line("Nothing in the settings file is different.");
    }
    for setting in &changed {
        output.line(&format!("{} is {}.", setting.name(), setting.value))?;
        if let Some(text) = missing(setting) {
            output.pieces(&[(Style::Yellow, &text)])?;
        }
    }
    Ok(())
}

/// What is to be done until the daemon goes by it.
fn missing(setting: &Setting) -> Option<String> {
    let what = match setting.pending {
        Pending::Nothing => return None,
        Pending::Reload => "airunner settings reload",
        Pending::Restart => "airunner restart",
    };
    Some(format!("The daemon goes by it after: {what}"))
}
