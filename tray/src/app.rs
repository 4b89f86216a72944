//! Puts the tray together and runs it: one thread, one loop over everything that can happen.

use std::ops::ControlFlow;
use std::time::Instant;

use airunner_core::Fault;
use airunner_ipc_client::{Endpoint, Starter, Watch, present};
use airunner_platform::notify::{Notifier, NotifierOptions};
use airunner_platform::{InstanceLock, Places, Signals, instance};
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use crate::arguments::Options;
use crate::commands::Commands;
use crate::controller::{Controller, Flow, Input};
use crate::desktop::Desktop;
use crate::display::{Display, Stage};
use crate::log;
use crate::view::{Action, Command};

/// Clicks and outcomes that may wait.
const CAPACITY: usize = 64;
/// As whom the daemon knows who shows its notifications.
const NAME: &str = concat!("airunner-tray ", env!("CARGO_PKG_VERSION"));

/// Runs until the user quits, the system wants it to end, or there is no desktop any more.
pub(crate) fn run(stage: Stage, options: Options) -> Result<(), Fault> {
    let internal = |error: std::io::Error| Fault::internal(format!("cannot start the event loop: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(internal)?;
    let result = runtime.block_on(tray(stage, options));
    // What is still being done belongs to the daemon or to other programs.
    runtime.shutdown_background();
    result
}

async fn tray(stage: Stage, options: Options) -> Result<(), Fault> {
    let starter = Starter::from_environment()?;
    let places = starter.places().clone();
    places.create()?;
    log::start(&places.state.join("airunner-tray.log"));
    let _lock = InstanceLock::acquire_for(instance::Program::Tray, &places).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the tray starts");
    let endpoint = Endpoint::of_daemon(&places);
    tokio::spawn(async move {
        let notifier = Notifier::start(NotifierOptions::default());
        present(&endpoint, NAME, notifier).await
    });

    let (inputs, received) = mpsc::channel(CAPACITY);
    let display = Display::new(stage, inputs.clone(), options.in_background);
    let commands = Commands::new(starter, inputs.clone());
    let desktop = Desktop::new(display, commands, places.clone(), inputs);
    let controller = Controller::new(desktop, TimeZone::system(), options.in_background, Instant::now());
    let result = follow(controller, received, &places, options).await;
    tracing::info!("the tray ends");
    result
}

async fn follow(
    mut controller: Controller<Desktop>,
    mut inputs: mpsc::Receiver<Input>,
    places: &Places,
    options: Options,
) -> Result<(), Fault> {
    let mut signals = Signals::listen(true).map_err(|error| Fault::internal(error.to_string()))?;
    let mut watch = Watch::new(Endpoint::of_daemon(places));
    controller.ask_login();
    if options.start {
        let _: Flow = controller.handle(Input::Clicked(Action::Ask(Command::Start)));
    }
    loop {
        let again = controller.draw(Instant::now());
        let flow = tokio::select! {
            Some(input) = inputs.recv() => controller.handle(input),
            update = watch.next() => controller.handle(Input::Daemon(update)),
            name = signals.end() => {
                tracing::info!(name, "told to end");
                ControlFlow::Break(Ok(()))
            }
            () = until(again) => ControlFlow::Continue(()),
        };
        if let ControlFlow::Break(result) = flow {
            return result;
        }
    }
}

/// That moment, or never.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
