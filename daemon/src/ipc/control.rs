//! `airunner.v1.Control`.

use std::sync::Arc;

use airunner_core::PROTOCOL_VERSION;
use airunner_core::activity::ActivityId;
use airunner_core::pause::PauseRequest;
use airunner_core::status::{DaemonStatus, Hello};
use airunner_platform::{Peer, process};
use airunner_proto::v1;
use airunner_proto::v1::control_server::Control;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::stream::{Events, events, status};
use crate::activities::Activities;
use crate::events::{Hub, Watch};
use crate::models::Models;
use crate::pause::Pausing;
use crate::shutdown::Ending;

/// What does not change while the daemon runs.
#[derive(Debug)]
pub struct About {
    pub started: Instant,
    /// Path of the socket, or name of the pipe.
    pub socket: String,
    /// `None` if none was found.
    pub onnxruntime_library: Option<String>,
    /// Where traces of requests are sent; `None`: nowhere.
    pub traces: Option<String>,
}

pub(super) struct Service {
    pub(super) about: Arc<About>,
    pub(super) hub: Hub,
    pub(super) models: Models,
    pub(super) pausing: Pausing,
    pub(super) activities: Activities,
    pub(super) ending: Ending,
}

impl Service {
    fn status(&self) -> DaemonStatus {
        DaemonStatus {
            pid: std::process::id(),
            daemon_version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol_version: PROTOCOL_VERSION,
            socket: self.about.socket.clone(),
            uptime: self.about.started.elapsed(),
            memory_bytes: process::own_resident_memory(),
            models: self.models.list(),
            shutting_down: self.ending.is_asked() || self.models.is_shutting_down(),
            onnxruntime_library: self.about.onnxruntime_library.clone(),
            http: self.hub.http(),
            traces: self.about.traces.clone(),
            paused: self.models.paused(),
            activities: self.activities.list(),
        }
    }
}

#[tonic::async_trait]
impl Control for Service {
    type WatchStream = Events<v1::WatchResponse>;

    async fn hello(&self, request: Request<v1::HelloRequest>) -> Result<Response<v1::HelloResponse>, Status> {
        let pid = request.extensions().get::<Peer>().and_then(|peer| peer.pid);
        tracing::debug!(client = request.get_ref().client, pid, "hello");
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            daemon_version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
        };
        Ok(Response::new(hello.into()))
    }

    async fn status(
        &self,
        _request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        Ok(Response::new(self.status().into()))
    }

    async fn watch(
        &self,
        _request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let messages = futures_util::stream::unfold(self.models.watch(), |mut watch: Watch| async move {
            let message = watch.next().await?;
            Some((Ok(message), watch))
        });
        events(messages)
    }

    async fn pause(&self, request: Request<v1::PauseRequest>) -> Result<Response<v1::PauseResponse>, Status> {
        let request = PauseRequest::try_from(request.into_inner()).map_err(status)?;
        let paused = self.pausing.pause(request).await.map_err(status)?;
        Ok(Response::new(paused.into()))
    }

    async fn resume(
        &self,
        _request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        let was_paused = self.pausing.resume().await.map_err(status)?;
        Ok(Response::new(v1::ResumeResponse { was_paused }))
    }

    async fn cancel_activity(
        &self,
        request: Request<v1::CancelActivityRequest>,
    ) -> Result<Response<v1::CancelActivityResponse>, Status> {
        let id = ActivityId(request.get_ref().id);
        self.activities.cancel(id).map_err(status)?;
        Ok(Response::new(v1::CancelActivityResponse {}))
    }

    async fn shutdown(
        &self,
        request: Request<v1::ShutdownRequest>,
    ) -> Result<Response<v1::ShutdownResponse>, Status> {
        let pid = request.extensions().get::<Peer>().and_then(|peer| peer.pid);
        let force = request.get_ref().force;
        tracing::info!(pid, force, "a client asked the daemon to end");
        self.ending.ask();
        if force {
            self.ending.hurry();
        }
        Ok(Response::new(v1::ShutdownResponse {}))
    }
}
