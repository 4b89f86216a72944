//! Memory set aside for a client, for as long as it holds on to it.

use std::collections::BTreeMap;

use airunner_core::hardware::Device;
use airunner_core::memory::{ReserveRequest, Reserved};
use airunner_core::{ErrorKind, Fault};
use airunner_proto::v1;
use airunner_proto::v1::hardware_client::HardwareClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::channel::fault;

/// Memory set aside. Dropping it gives everything back.
/// From [`Hardware::reserve`](crate::Hardware::reserve).
///
/// ```no_run
/// # async fn example(client: airunner_ipc_client::Client) -> Result<(), airunner_core::Fault> {
/// use airunner_core::hardware::Device;
/// use airunner_core::memory::{ReservationCategory, ReserveRequest};
///
/// let history = |bytes| ReserveRequest {
///     device: Device::Cpu,
///     bytes,
///     category: ReservationCategory::CanvasHistory,
/// };
/// let mut reservation = client.hardware().reserve(history(64 << 20)).await?;
/// if let Err(refused) = reservation.set(history(1 << 30)).await {
///     println!("{refused}; {} bytes are kept", reservation.bytes(Device::Cpu));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Reservation {
    requests: mpsc::Sender<v1::ReserveRequest>,
    answers: Streaming<v1::ReserveResponse>,
    held: BTreeMap<Device, u64>,
    /// Requests whose answers were not waited for.
    unread: usize,
}

impl Reservation {
    pub(crate) async fn open(
        mut client: HardwareClient<Channel>,
        first: ReserveRequest,
    ) -> Result<Self, Fault> {
        let (requests, outgoing) = mpsc::channel(1);
        // Sent before the call, which may be answered only after its first message.
        requests.try_send(first.into()).map_err(|_| lost())?;
        let answers = client
            .reserve(ReceiverStream::new(outgoing))
            .await
            .map_err(|status| fault(&status))?;
        let mut reservation = Self {
            requests,
            answers: answers.into_inner(),
            held: BTreeMap::new(),
            unread: 1,
        };
        reservation.answer().await?;
        Ok(reservation)
    }

    /// Replaces what is set aside on one device; 0 gives it back. A refusal is an error and
    /// leaves what was there. Returns the bytes set aside there.
    pub async fn set(&mut self, request: ReserveRequest) -> Result<u64, Fault> {
        self.requests.send(request.into()).await.map_err(|_| lost())?;
        self.unread += 1;
        self.answer().await
    }

    /// Bytes set aside on a device, as the daemon said last.
    #[must_use]
    pub fn bytes(&self, device: Device) -> u64 {
        self.held.get(&device).copied().unwrap_or_default()
    }

    /// Gives everything back and waits until the daemon has it.
    pub async fn give_back(self) -> Result<(), Fault> {
        let Self {
            requests,
            mut answers,
            ..
        } = self;
        drop(requests);
        while answers
            .message()
            .await
            .map_err(|status| fault(&status))?
            .is_some()
        {}
        Ok(())
    }

    /// The answer to the last request. Answers come in the order of the requests; those before
    /// it belong to calls that were given up.
    async fn answer(&mut self) -> Result<u64, Fault> {
        loop {
            let message = self.answers.message().await.map_err(|status| fault(&status))?;
            let reserved = Reserved::try_from(message.ok_or_else(lost)?)?;
            self.held.insert(reserved.device, reserved.reserved_bytes);
            self.unread = self.unread.saturating_sub(1);
            if self.unread == 0 {
                return match reserved.refusal {
                    None => Ok(reserved.reserved_bytes),
                    Some(fault) => Err(fault),
                };
            }
        }
    }
}

fn lost() -> Fault {
    Fault::new(
        ErrorKind::DaemonNotRunning,
        "the daemon ended and the reservation with it; start it with: airunner start",
    )
}
