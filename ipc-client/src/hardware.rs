//! The machine, and who has how much of its memory.

use airunner_core::Fault;
use airunner_core::hardware::Hardware as Profile;
use airunner_core::memory::{BudgetChange, FreeRequest, Freed, MemoryBreakdown, ReserveRequest};
use airunner_proto::v1;
use airunner_proto::v1::hardware_client::HardwareClient;
use tonic::transport::Channel;

use crate::channel::{fault, promptly};
use crate::reservation::Reservation;

/// Profile, memory, budgets, reservations. From [`Client::hardware`](crate::Client::hardware).
#[derive(Clone, Debug)]
pub struct Hardware {
    client: HardwareClient<Channel>,
}

impl Hardware {
    pub(crate) fn new(channel: Channel) -> Self {
        let client =
            HardwareClient::new(channel).max_decoding_message_size(airunner_proto::MAX_MESSAGE_BYTES);
        Self { client }
    }

    /// What the machine has. The daemon asks the system and the drivers anew.
    pub async fn profile(&self) -> Result<Profile, Fault> {
        let mut client = self.client.clone();
        let answer = client
            .profile(v1::ProfileRequest {})
            .await
            .map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }

    /// Who has how much of each device's memory.
    pub async fn memory(&self) -> Result<Vec<MemoryBreakdown>, Fault> {
        let mut client = self.client.clone();
        let call = async {
            client
                .memory(v1::MemoryRequest {})
                .await
                .map_err(|status| fault(&status))
        };
        promptly(call).await?.into_inner().try_into()
    }

    /// Changes a budget at once and in the settings file. Returns the memory as it is then.
    pub async fn set_budget(&self, change: BudgetChange) -> Result<Vec<MemoryBreakdown>, Fault> {
        let mut client = self.client.clone();
        let request = v1::SetBudgetRequest::from(change);
        let answer = client
            .set_budget(request)
            .await
            .map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }

    /// Unloads every idle model; returns when their memory is back.
    pub async fn free(&self, request: FreeRequest) -> Result<Freed, Fault> {
        let mut client = self.client.clone();
        let request = v1::FreeRequest::from(request);
        let answer = client.free(request).await.map_err(|status| fault(&status))?;
        answer.into_inner().try_into()
    }

    /// Sets memory aside, such as for undo history: idle models go if need be. It is given back
    /// when the [`Reservation`] is dropped, or when this process ends however it ends.
    ///
    /// Errors: [`ErrorKind::OutOfMemory`](airunner_core::ErrorKind::OutOfMemory) if it cannot be
    /// had.
    pub async fn reserve(&self, request: ReserveRequest) -> Result<Reservation, Fault> {
        Reservation::open(self.client.clone(), request).await
    }
}
