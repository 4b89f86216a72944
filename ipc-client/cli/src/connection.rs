//! The way to the daemon.

use airunner_core::ModelName;
use airunner_ipc_client::{Client, Endpoint, Places};

use crate::failure::Failure;

pub(crate) fn places() -> Result<Places, Failure> {
    Ok(Places::from_environment().map_err(airunner_core::Fault::from)?)
}

/// Connects to the daemon; it is never started by the way.
pub(crate) async fn connect() -> Result<Client, Failure> {
    Ok(Client::connect(&Endpoint::of_daemon(&places()?)).await?)
}

/// Connects, and reads the model's name after that: without a daemon, that is what is said.
pub(crate) async fn connect_for(model: &str) -> Result<(Client, ModelName), Failure> {
    let client = connect().await?;
    Ok((client, ModelName::new(model)?))
}
