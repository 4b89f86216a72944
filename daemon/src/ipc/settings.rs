//! `airunner.v1.Settings`, and the same without a daemon.

use airunner_core::Fault;
use airunner_core::settings::{Setting, SettingChange};
use airunner_proto::convert::settings::{answer_to_bytes, command_from_bytes, setting_names};
use airunner_proto::v1;
use airunner_proto::v1::settings_command::Command;
use airunner_proto::v1::settings_server::Settings as Rpc;
use tonic::{Request, Response, Status};

use super::stream::status;
use crate::settings::{Book, Handle};

pub(super) struct Service {
    pub(super) settings: Handle,
}

type Answer = Result<Response<v1::SettingsResponse>, Status>;

#[tonic::async_trait]
impl Rpc for Service {
    async fn list(&self, _request: Request<v1::ListSettingsRequest>) -> Answer {
        let settings = self.settings.list().await.map_err(status)?;
        Ok(Response::new(settings.into()))
    }

    async fn get(&self, request: Request<v1::GetSettingRequest>) -> Result<Response<v1::Setting>, Status> {
        let names = setting_names(vec![request.into_inner().name]).map_err(status)?;
        let name = names.into_iter().next().unwrap_or_default();
        let setting = self.settings.get(name).await.map_err(status)?;
        Ok(Response::new(setting.into()))
    }

    async fn set(&self, request: Request<v1::SetSettingsRequest>) -> Answer {
        let changes = Vec::try_from(request.into_inner()).map_err(status)?;
        let settings = self.settings.change(changes).await.map_err(status)?;
        Ok(Response::new(settings.into()))
    }

    async fn reset(&self, request: Request<v1::ResetSettingsRequest>) -> Answer {
        let names = setting_names(request.into_inner().names).map_err(status)?;
        let settings = self.settings.change(resets(names)).await.map_err(status)?;
        Ok(Response::new(settings.into()))
    }

    async fn reload(&self, _request: Request<v1::ReloadSettingsRequest>) -> Answer {
        let settings = self.settings.reload().await.map_err(status)?;
        Ok(Response::new(settings.into()))
    }
}

/// Answers one command about the settings of a daemon that does not run.
#[must_use]
pub fn answer_offline(book: &Book, command: &[u8]) -> Vec<u8> {
    answer_to_bytes(command_from_bytes(command).and_then(|command| obey(book, command)))
}

fn obey(book: &Book, command: Command) -> Result<Vec<Setting>, Fault> {
    let names = match command {
        Command::List(_) => return book.list(None),
        Command::Get(request) => vec![request.name],
        Command::Set(request) => return change(book, request.try_into()?),
        Command::Reset(request) => return change(book, resets(setting_names(request.names)?)),
    };
    book.these(&names, None)
}

fn change(book: &Book, changes: Vec<SettingChange>) -> Result<Vec<Setting>, Fault> {
    book.grant(&book.wishes(&changes)?)?;
    let names: Vec<String> = changes.into_iter().map(|change| change.name).collect();
    book.these(&names, None)
}

fn resets(names: Vec<String>) -> Vec<SettingChange> {
    let reset = |name| SettingChange { name, value: None };
    names.into_iter().map(reset).collect()
}
