//! Doing what the user asked for. Every command is a task of its own: none waits for another.

use std::sync::Arc;

use airunner_core::Fault;
use airunner_core::memory::FreeRequest;
use airunner_core::model::{LoadRequest, UnloadRequest};
use airunner_core::pause::PauseRequest;
use airunner_core::priority::Priority;
use airunner_core::settings::SettingChange;
use airunner_ipc_client::{Client, Endpoint, Places, Starter, wait_for_end};
use airunner_platform::process;
use airunner_platform::service::login::{self, LoginState};
use airunner_platform::service::{Service, remember_answer, was_asked};
use tokio::sync::mpsc;

use crate::controller::{Answer, Input};
use crate::state::{Refreshed, Upgrade};
use crate::view::Command;

/// Carries commands out and reports what became of them.
#[derive(Clone)]
pub(crate) struct Commands {
    starter: Arc<Starter>,
    inputs: mpsc::Sender<Input>,
}

impl Commands {
    pub(crate) fn new(starter: Starter, inputs: mpsc::Sender<Input>) -> Self {
        let starter = Arc::new(starter);
        Self { starter, inputs }
    }

    /// Begins one. Must be called within a tokio runtime.
    pub(crate) fn perform(&self, command: Command) {
        let Self { starter, inputs } = self.clone();
        tokio::spawn(async move {
            let result = execute(&starter, &command).await;
            if let Err(fault) = &result {
                tracing::warn!(kind = fault.kind.reason(), ?command, "a command failed");
            }
            // Without a receiver the tray has ended.
            drop(inputs.send(Input::Outcome(command, result)).await);
        });
    }
}

async fn execute(starter: &Starter, command: &Command) -> Result<Answer, Fault> {
    let endpoint = Endpoint::of_daemon(starter.places());
    let connect = || Client::connect(&endpoint);
    match command {
        Command::Start => {
            starter.connect_or_start().await?;
        }
        Command::Stop => stop(starter.places(), &endpoint).await?,
        Command::Restart => restart(starter, &endpoint).await?,
        Command::Refresh => return refresh(&connect().await?).await,
        Command::Load(name) => load(&connect().await?, LoadRequest::new(name.clone())).await?,
        Command::Pin(name, pinned) => {
            let pinned = Some(*pinned);
            let request = LoadRequest::new(name.clone());
            load(&connect().await?, LoadRequest { pinned, ..request }).await?;
        }
        Command::Keep(name, time) => {
            let keep_alive = Some(*time);
            let request = LoadRequest::new(name.clone());
            load(
                &connect().await?,
                LoadRequest {
                    keep_alive,
                    ..request
                },
            )
            .await?;
        }
        Command::Unload(name) => {
            let name = name.clone();
            let request = UnloadRequest { name, force: false };
            connect().await?.models().unload(request).await?;
        }
        Command::Free => {
            let request = FreeRequest { pinned: false };
            connect().await?.hardware().free(request).await?;
        }
        Command::Pause => {
            connect().await?.control().pause(PauseRequest::default()).await?;
        }
        Command::Resume => {
            connect().await?.control().resume().await?;
        }
        Command::Switch(name, on) => {
            let client = connect().await?;
            let change = SettingChange {
                name: name.clone(),
                value: Some(on.to_string()),
            };
            client.settings().change(vec![change]).await?;
            return refresh(&client).await;
        }
        Command::PauseDownload(id) => {
            connect().await?.downloads().pause(*id).await?;
        }
        Command::ResumeDownload(id) => {
            connect().await?.downloads().resume(*id).await?;
        }
        Command::CancelDownload(id) => {
            connect().await?.downloads().cancel(*id).await?;
        }
        Command::CancelActivity(id) => {
            connect().await?.control().cancel_activity(*id).await?;
        }
        Command::Answer(id, button) => {
            connect().await?.notifications().act(*id, button).await?;
        }
        Command::DismissNotification(id) => {
            connect().await?.notifications().dismiss(*id).await?;
        }
        Command::AskLogin => return about_login(starter.places(), login::state().await?),
        Command::SetLogin(enabled) => return about_login(starter.places(), login::set(*enabled).await?),
        Command::DeclineLogin => {
            remember_answer(starter.places(), false)?;
            return about_login(starter.places(), login::state().await?);
        }
    }
    Ok(Answer::Done)
}

/// Through the service manager if it is the one who would bring the daemon back. One of another
/// version can be stopped as well.
async fn stop(places: &Places, endpoint: &Endpoint) -> Result<(), Fault> {
    if let Some(service) = in_charge(places).await? {
        return Ok(service.stop().await?);
    }
    let client = Client::connect_to_any_version(endpoint).await?;
    client.control().shutdown(false).await?;
    wait_for_end(client.hello().pid).await;
    Ok(())
}

async fn restart(starter: &Starter, endpoint: &Endpoint) -> Result<(), Fault> {
    if let Some(service) = in_charge(starter.places()).await?
        && service.ends_in_good_order()
    {
        service.restart().await?;
    } else {
        stop(starter.places(), endpoint).await?;
    }
    starter.connect_or_start().await?;
    Ok(())
}

/// The service, if it is the one that runs the daemon or would bring it back.
async fn in_charge(places: &Places) -> Result<Option<Service>, Fault> {
    let Ok(service) = Service::of_this_user() else {
        return Ok(None);
    };
    if service.surroundings().places != *places {
        return Ok(None);
    }
    let status = service.status().await?;
    let in_charge = status.installed && (status.listening || status.running);
    Ok(in_charge.then_some(service))
}

#[expect(clippy::unnecessary_wraps, reason = "it ends calls that may fail")]
fn about_login(places: &Places, state: LoginState) -> Result<Answer, Fault> {
    let decided = was_asked(places);
    Ok(Answer::Login { state, decided })
}

async fn refresh(client: &Client) -> Result<Answer, Fault> {
    let (control, hardware) = (client.control(), client.hardware());
    let settings = client.settings();
    let (status, memory, settings) = tokio::try_join!(control.status(), hardware.memory(), settings.list())?;
    let upgrade = Upgrade::of(
        status.daemon_version == env!("CARGO_PKG_VERSION"),
        process::program_was_replaced(status.pid),
        process::program_was_replaced(std::process::id()),
    );
    Ok(Answer::Refreshed(Box::new(Refreshed {
        status,
        memory,
        settings,
        upgrade,
    })))
}

/// Waits until it is loaded: nobody else may be waiting for it, and then it would be given up.
async fn load(client: &Client, request: LoadRequest) -> Result<(), Fault> {
    let priority = Priority::Interactive;
    let mut events = client.models().load(LoadRequest { priority, ..request }).await?;
    while let Some(event) = events.next().await {
        event?;
    }
    Ok(())
}
