use std::time::SystemTime;

use airunner_core::ErrorKind;
use airunner_core::status::{DaemonStatus, HttpStatus};
use airunner_ipc_client::{Client, Endpoint};
use airunner_platform::service::Status as Installed;
use clap::Args;

use super::outdated::outdated;
use super::service;
use crate::connection::places;
use crate::failure::{Failure, code};
use crate::output::{Output, Style};
use crate::run::Context;
use crate::units;
use crate::views::{ServiceView, StatusView, login, pause_line, processes_table};

#[derive(Debug, Args)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let output = &context.output;
        let places = places()?;
        let endpoint = Endpoint::of_daemon(&places);
        let daemon = match Client::connect(&endpoint).await {
            Ok(client) => Ok(client.control().status().await?),
            Err(fault) if fault.kind == ErrorKind::DaemonNotRunning && output.is_json() => Err(()),
            Err(fault) => return Err(fault.into()),
        };
        // Asked after the daemon: whoever connects may have started the service.
        let service = service::installed(&places).await?.map(|(_, status)| status);
        match daemon {
            Ok(status) if output.is_json() => {
                let service = service.as_ref().map(ServiceView::new);
                let outdated = outdated(&status).is_some();
                output.value(&StatusView::running(&status, outdated, service))
            }
            Ok(status) => print(output, &status, service.as_ref()),
            Err(()) => {
                let service = service.as_ref().map(ServiceView::new);
                output.value(&StatusView::stopped(endpoint.to_string(), service))?;
                Err(Failure::Reported(code::NOT_RUNNING))
            }
        }
    }
}

fn http(status: &HttpStatus) -> String {
    let open = if status.open {
        ", open to every program here"
    } else {
        ""
    };
    let served = format!("{}{open}", status.urls.join(" "));
    match (&status.problem, status.urls.is_empty()) {
        (Some(problem), true) => problem.clone(),
        (Some(problem), false) => format!("{served}; {problem}"),
        (None, true) => "switched off".to_owned(),
        (None, false) => served,
    }
}

fn print(output: &Output, status: &DaemonStatus, service: Option<&Installed>) -> Result<(), Failure> {
    let state = if status.shutting_down {
        "is shutting down"
    } else {
        "is running"
    };
    output.pieces(&[(
        Style::Bold,
        &format!("AI Runner {} {state}", status.daemon_version),
    )])?;
    let library = status
        .onnxruntime_library
        .as_deref()
        .unwrap_or("not found: see airunner doctor");
    for (name, value) in [
        ("process", status.pid.to_string()),
        ("up for", units::duration(status.uptime)),
        ("memory", units::size(status.memory_bytes)),
        ("socket", status.socket.clone()),
        ("HTTP", http(&status.http)),
        ("protocol", status.protocol_version.to_string()),
        ("ONNX Runtime", library.to_owned()),
    ] {
        output.line(&format!("  {name:<13} {value}"))?;
    }
    if let Some(difference) = outdated(status) {
        let loud = format!("  version       {difference}; run: airunner restart");
        output.pieces(&[(Style::Yellow, &loud)])?;
    }
    if let Some(service) = service {
        let by = if service.pid == Some(status.pid) {
            ""
        } else {
            "does not run this daemon; \"airunner restart\" changes that; "
        };
        output.line(&format!("  service       {by}{}", login(service)))?;
    }
    if let Some(pause) = &status.paused {
        let line = pause_line(pause, SystemTime::now());
        output.pieces(&[(Style::Yellow, &line)])?;
    }
    for activity in &status.activities {
        let (doing, model) = (activity.kind.doing().to_lowercase(), &activity.model);
        let (progress, id) = (activity.progress(), activity.id);
        output.line(&format!(
            "  at work       {doing} {model}: {progress}; airunner cancel {id} gives it up"
        ))?;
    }
    if let Some(collector) = &status.traces {
        let loud = format!("  traces        of every request are sent to {collector}");
        output.pieces(&[(Style::Yellow, &loud)])?;
    }
    let table = processes_table(&status.models, SystemTime::now());
    output.line("")?;
    if table.is_empty() {
        output.line("No model is in memory.")
    } else {
        output.table(&table)
    }
}
