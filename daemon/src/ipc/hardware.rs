//! `airunner.v1.Hardware`.

use std::collections::BTreeMap;
use std::time::Duration;

use airunner_core::hardware::Device;
use airunner_core::memory::{BudgetChange, FreeRequest, ReserveRequest, Reserved};
use airunner_core::{ErrorKind, Fault};
use airunner_proto::v1;
use airunner_proto::v1::hardware_server::Hardware as Rpc;
use tonic::{Request, Response, Status, Streaming};

use super::stream::{Events, events, status};
use crate::hardware::Hardware;
use crate::models::{Models, Reservation};
use crate::settings::Handle;
use crate::shutdown::Ending;

/// How long figures may take to be made anew before those of the last look are given.
const FRESH_FIGURES: Duration = Duration::from_millis(50);
/// Longest text of a device that is repeated to its sender, characters.
const ECHOED: usize = 32;

pub(super) struct Service {
    pub(super) hardware: Hardware,
    pub(super) models: Models,
    pub(super) settings: Handle,
    pub(super) ending: Ending,
}

#[tonic::async_trait]
impl Rpc for Service {
    type ReserveStream = Events<v1::ReserveResponse>;

    async fn profile(
        &self,
        _request: Request<v1::ProfileRequest>,
    ) -> Result<Response<v1::HardwareProfile>, Status> {
        let profile = self.hardware.profile().await.map_err(status)?;
        Ok(Response::new(profile.into()))
    }

    async fn memory(
        &self,
        _request: Request<v1::MemoryRequest>,
    ) -> Result<Response<v1::MemoryResponse>, Status> {
        let look = async {
            self.hardware.read().await.map_err(status)?;
            self.models.settle().await;
            Ok::<(), Status>(())
        };
        if let Ok(looked) = tokio::time::timeout(FRESH_FIGURES, look).await {
            looked?;
        }
        Ok(Response::new(self.models.memory().into()))
    }

    async fn set_budget(
        &self,
        request: Request<v1::SetBudgetRequest>,
    ) -> Result<Response<v1::MemoryResponse>, Status> {
        let change = BudgetChange::try_from(request.into_inner()).map_err(status)?;
        let memory = self.models.set_budget(change).await.map_err(status)?;
        self.settings.budget_changed().await.map_err(status)?;
        Ok(Response::new(memory.into()))
    }

    async fn free(&self, request: Request<v1::FreeRequest>) -> Result<Response<v1::FreeResponse>, Status> {
        let request = FreeRequest::from(request.into_inner());
        let freed = self.models.free(request).await.map_err(status)?;
        Ok(Response::new(freed.into()))
    }

    async fn reserve(
        &self,
        request: Request<Streaming<v1::ReserveRequest>>,
    ) -> Result<Response<Self::ReserveStream>, Status> {
        let reserving = Reserving {
            incoming: request.into_inner(),
            held: BTreeMap::new(),
            models: self.models.clone(),
            ending: self.ending.clone(),
        };
        events(futures_util::stream::unfold(Some(reserving), |reserving| async {
            reserving?.next().await
        }))
    }
}

/// One call: what it has set aside. Dropped with the call, in whatever way that ends.
struct Reserving {
    incoming: Streaming<v1::ReserveRequest>,
    held: BTreeMap<Device, Held>,
    models: Models,
    ending: Ending,
}

struct Held {
    reservation: Reservation,
    bytes: u64,
}

type Answer = Result<v1::ReserveResponse, Fault>;

impl Reserving {
    async fn next(mut self) -> Option<(Answer, Option<Self>)> {
        let message = tokio::select! {
            message = self.incoming.message() => message,
            () = self.ending.asked() => return Some((Err(shutting_down()), None)),
        };
        match message {
            Ok(Some(request)) => {
                let answer = self.answer(request).await;
                Some((Ok(answer), Some(self)))
            }
            Ok(None) => {
                self.give_back().await;
                None
            }
            Err(error) => {
                tracing::debug!(%error, "a client with reservations is gone");
                None
            }
        }
    }

    async fn answer(&mut self, request: v1::ReserveRequest) -> v1::ReserveResponse {
        let named: String = request.device.chars().take(ECHOED).collect();
        match ReserveRequest::try_from(request) {
            Ok(request) => self.set_aside(request).await.into(),
            Err(fault) => v1::ReserveResponse {
                reserved_bytes: Device::parse(&named).map_or(0, |device| self.bytes(device)),
                device: named,
                refused: Some(fault.into()),
            },
        }
    }

    async fn set_aside(&mut self, request: ReserveRequest) -> Reserved {
        let refusal = match request.check() {
            Ok(()) => self.replace(request.device, request.bytes).await.err(),
            Err(fault) => Some(fault),
        };
        Reserved {
            device: request.device,
            reserved_bytes: self.bytes(request.device),
            refusal,
        }
    }

    async fn replace(&mut self, device: Device, bytes: u64) -> Result<(), Fault> {
        if let Some(held) = self.held.get_mut(&device) {
            held.reservation.resize(bytes).await?;
            held.bytes = bytes;
        } else if bytes > 0 {
            let reservation = self.models.reserve(device, bytes).await?;
            self.held.insert(device, Held { reservation, bytes });
        }
        Ok(())
    }

    fn bytes(&self, device: Device) -> u64 {
        self.held.get(&device).map_or(0, |held| held.bytes)
    }

    /// When the client sees the end of the call, everybody sees the memory free.
    async fn give_back(self) {
        let Self { held, models, .. } = self;
        drop(held);
        models.settle().await;
    }
}

fn shutting_down() -> Fault {
    Fault::new(
        ErrorKind::ShuttingDown,
        "the daemon is shutting down and gives back what was reserved",
    )
}
