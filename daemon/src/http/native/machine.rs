//! Memory, the machine, and what was used.

use std::time::Duration;

use airunner_core::Fault;
use airunner_core::memory::{Budget, BudgetChange, DeviceClass, FreeRequest};
use airunner_platform::process;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::views::{ErrorBody, HardwareBody, MemoryBody, ModelBody, ModelUsageBody, PauseBody};
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::payload::{Params, Payload};

/// How long figures may take to be made anew before those of the last look are given.
const FRESH_FIGURES: Duration = Duration::from_millis(50);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(memory))
        .routes(routes!(set_budget))
        .routes(routes!(free_memory))
        .routes(routes!(hardware))
        .routes(routes!(usage))
        .routes(routes!(status))
}

#[derive(Serialize, ToSchema)]
struct MemoryList {
    devices: Vec<MemoryBody>,
}

impl MemoryList {
    fn new(memory: Vec<airunner_core::memory::MemoryBreakdown>) -> Json<Self> {
        Json(Self {
            devices: memory.into_iter().map(MemoryBody::from).collect(),
        })
    }
}

/// Who has how much memory, by device.
#[utoipa::path(get, path = "/memory", tag = "machine", responses((status = 200, body = MemoryList)))]
async fn memory(State(api): State<Api>) -> Result<Json<MemoryList>, Failure> {
    let look = async {
        api.hardware.read().await?;
        api.models.settle().await;
        Ok::<(), Fault>(())
    };
    if let Ok(looked) = tokio::time::timeout(FRESH_FIGURES, look).await {
        looked?;
    }
    Ok(MemoryList::new(api.models.memory()))
}

/// How much of a device models may have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BudgetBody {
    /// `cpu` or `gpu`.
    device: String,
    /// `80%`, or a size such as `2GiB`.
    budget: String,
}

/// Changes how much of a device models may have, at once and for good.
#[utoipa::path(put, path = "/memory/budget", tag = "machine", request_body = BudgetBody, responses(
    (status = 200, body = MemoryList),
    (status = "4XX", body = ErrorBody),
))]
async fn set_budget(
    State(api): State<Api>,
    Payload(body): Payload<BudgetBody>,
) -> Result<Json<MemoryList>, Failure> {
    let device = DeviceClass::parse(&body.device)
        .ok_or_else(|| Fault::invalid("device must be cpu or gpu").figure("param", "device"))?;
    let budget: Budget = body
        .budget
        .parse()
        .map_err(|fault: Fault| fault.figure("param", "budget"))?;
    let memory = api.models.set_budget(BudgetChange { device, budget }).await?;
    api.settings.budget_changed().await?;
    Ok(MemoryList::new(memory))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FreeBody {
    /// Pinned models too.
    #[serde(default)]
    pinned: bool,
}

#[derive(Serialize, ToSchema)]
struct FreedBody {
    unloaded: Vec<String>,
    freed_bytes: u64,
}

/// Unloads everything idle, and answers when its memory is back.
#[utoipa::path(post, path = "/memory/free", tag = "machine", request_body = FreeBody, responses(
    (status = 200, body = FreedBody),
    (status = "4XX", body = ErrorBody),
))]
async fn free_memory(
    State(api): State<Api>,
    Payload(body): Payload<FreeBody>,
) -> Result<Json<FreedBody>, Failure> {
    let freed = api.models.free(FreeRequest { pinned: body.pinned }).await?;
    Ok(Json(FreedBody {
        unloaded: freed.unloaded.iter().map(ToString::to_string).collect(),
        freed_bytes: freed.freed_bytes,
    }))
}

/// What this machine has.
#[utoipa::path(get, path = "/hardware", tag = "machine", responses(
    (status = 200, body = HardwareBody),
    (status = "5XX", body = ErrorBody),
))]
async fn hardware(State(api): State<Api>) -> Result<Json<HardwareBody>, Failure> {
    Ok(Json(api.hardware.profile().await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsageQuery {
    /// Of the last days only.
    #[param(minimum = 1)]
    days: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct UsageList {
    models: Vec<ModelUsageBody>,
}

/// What was used and what it cost, by model, the one used last first.
#[utoipa::path(get, path = "/usage", tag = "machine", params(UsageQuery), responses(
    (status = 200, body = UsageList),
    (status = "4XX", body = ErrorBody),
))]
async fn usage(
    State(api): State<Api>,
    Params(query): Params<UsageQuery>,
) -> Result<Json<UsageList>, Failure> {
    if query.days == Some(0) {
        return Err(Fault::invalid("days is 0: ask for at least 1")
            .figure("param", "days")
            .into());
    }
    let usage = api.usage.summary(query.days.map(|days| DAY * days)).await?;
    Ok(Json(UsageList {
        models: usage.into_iter().map(ModelUsageBody::from).collect(),
    }))
}

/// How the daemon is.
#[derive(Serialize, ToSchema)]
struct StatusBody {
    version: &'static str,
    pid: u32,
    /// Seconds since it started.
    uptime: f64,
    /// Resident memory of the daemon alone; models have processes of their own.
    memory_bytes: u64,
    shutting_down: bool,
    /// Set while the daemon is paused.
    paused: Option<PauseBody>,
    models: Vec<ModelBody>,
    memory: Vec<MemoryBody>,
}

/// The daemon, its models and its memory, in one answer.
#[utoipa::path(get, path = "/status", tag = "machine", responses((status = 200, body = StatusBody)))]
async fn status(State(api): State<Api>) -> Json<StatusBody> {
    Json(StatusBody {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        uptime: api.started.elapsed().as_secs_f64(),
        memory_bytes: process::own_resident_memory(),
        shutting_down: api.ending.is_asked() || api.models.is_shutting_down(),
        paused: api.models.paused().map(PauseBody::from),
        models: api.models.list().into_iter().map(ModelBody::from).collect(),
        memory: api.models.memory().into_iter().map(MemoryBody::from).collect(),
    })
}
