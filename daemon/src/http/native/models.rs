//! Installed models: seen, fetched, checked, removed.

use airunner_core::access::{Caller, Scope};
use airunner_core::download::{PullRequest, VerifyRequest};
use airunner_core::memory::EstimateRequest;
use airunner_core::model::ImportRequest;
use airunner_core::quantize::{QuantizeLevel, QuantizeRequest};
use airunner_core::{ErrorKind, Fault, ModelName};
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::views::{CatalogBody, DetailsBody, ErrorBody, EstimateBody, JobBody, ModelBody, level};
use crate::http::api::{Api, model_name};
use crate::http::failure::Failure;
use crate::http::payload::{Params, Payload, Place};
use crate::jobs::{Import, Pull, Quantize, Verify};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_models))
        .routes(routes!(show_model, remove_model))
        .routes(routes!(pull_model))
        .routes(routes!(import_model))
        .routes(routes!(quantize_model))
        .routes(routes!(verify_model))
        .routes(routes!(estimate_model))
        .routes(routes!(catalog))
}

#[derive(Serialize, ToSchema)]
struct ModelsBody {
    models: Vec<ModelBody>,
}

/// The installed models.
#[utoipa::path(get, path = "/models", tag = "models", responses((status = 200, body = ModelsBody)))]
async fn list_models(State(api): State<Api>) -> Json<ModelsBody> {
    Json(ModelsBody {
        models: api.models.list().into_iter().map(ModelBody::from).collect(),
    })
}

/// A model, and what its package is made of.
///
/// The name may hold slashes, as they are or as `%2F`.
#[utoipa::path(get, path = "/models/{*name}", tag = "models", params(("name" = String, Path)), responses(
    (status = 200, body = DetailsBody),
    (status = "4XX", body = ErrorBody),
))]
async fn show_model(
    State(api): State<Api>,
    Place(name): Place<String>,
) -> Result<Json<DetailsBody>, Failure> {
    let details = api.models.show(&model_name(&name)?).await?;
    Ok(Json(details.into()))
}

/// Deletes a model that is not in memory.
#[utoipa::path(delete, path = "/models/{*name}", tag = "models", params(("name" = String, Path)), responses(
    (status = 204),
    (status = "4XX", body = ErrorBody),
))]
async fn remove_model(State(api): State<Api>, Place(name): Place<String>) -> Result<StatusCode, Failure> {
    api.models.remove(model_name(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What to fetch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PullBody {
    /// A repository of the hub such as `onnx-community/Qwen2.5-0.5B-Instruct`, or a name or alias
    /// of the catalogue.
    source: String,
    /// Branch, tag or commit.
    revision: Option<String>,
    /// How to call the model here.
    name: Option<String>,
    /// Precision: `none`, `fp16`, `bf16`, `8bit`, `4bit` or `2bit`.
    level: Option<String>,
}

/// Fetches a model from the hub: a job of the kind `pull`.
///
/// Cancelling the job cancels the download. A download that is paused keeps its job running.
#[utoipa::path(post, path = "/models/pull", tag = "models", request_body = PullBody, responses(
    (status = 202, body = JobBody),
    (status = "4XX", body = ErrorBody),
))]
async fn pull_model(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(body): Payload<PullBody>,
) -> Result<(StatusCode, Json<JobBody>), Failure> {
    if body.source.trim().is_empty() {
        return Err(
            Fault::invalid("source is empty: name a repository or a known model")
                .figure("param", "source")
                .into(),
        );
    }
    let request = PullRequest {
        source: body.source,
        revision: body.revision,
        name: body.name.as_deref().map(ModelName::new).transpose()?,
        level: level(body.level.as_deref())?,
    };
    let request = Pull::request(request)?;
    let job = api.jobs.submit(&caller, Pull::KIND, request).await?;
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

/// What to copy into the store.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ImportBody {
    /// Absolute path on the machine of the daemon.
    directory: String,
    name: String,
    /// Use the files where they are.
    #[serde(default)]
    link: bool,
}

/// Copies a package of the daemon's machine into the store: a job of the kind `import`.
///
/// For administrators only, because it reads any directory.
#[utoipa::path(post, path = "/models/import", tag = "models", request_body = ImportBody, responses(
    (status = 202, body = JobBody),
    (status = "4XX", body = ErrorBody),
))]
async fn import_model(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(body): Payload<ImportBody>,
) -> Result<(StatusCode, Json<JobBody>), Failure> {
    if !caller.may(Scope::Admin) {
        return Err(Fault::new(
            ErrorKind::PermissionDenied,
            "only a key with the scope admin may read directories of this machine",
        )
        .into());
    }
    let request = Import::request(ImportRequest {
        directory: body.directory,
        name: ModelName::new(&body.name)?,
        link: body.link,
    })?;
    let job = api.jobs.submit(&caller, Import::KIND, request).await?;
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

/// What to make smaller.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuantizeBody {
    /// A model of full precision.
    model: String,
    /// `fp16`, `q8`, `q6`, `q4_m`, `q4_s` or, as an experiment, `q2`; `q4_m` if left out.
    level: Option<String>,
    /// How to call the new model; the old name and the level if left out.
    name: Option<String>,
    /// Text to compare both models on; one of the program's own if left out.
    text: Option<String>,
}

/// Makes a smaller model of an installed one: a job of the kind `quantize`.
///
/// The job's result has the new model's name and a report: sizes, what each matrix lost, and how
/// the answers of both differ on a text.
#[utoipa::path(post, path = "/models/quantize", tag = "models", request_body = QuantizeBody, responses(
    (status = 202, body = JobBody),
    (status = "4XX", body = ErrorBody),
))]
async fn quantize_model(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(body): Payload<QuantizeBody>,
) -> Result<(StatusCode, Json<JobBody>), Failure> {
    let level = match body.level.as_deref() {
        None => QuantizeLevel::Q4M,
        Some(text) => QuantizeLevel::parse(text).ok_or_else(|| {
            Fault::invalid(format!(
                "level is not known: use one of {}",
                QuantizeLevel::names()
            ))
            .figure("param", "level")
        })?,
    };
    let request = QuantizeRequest {
        model: model_name(&body.model)?,
        level,
        name: body.name.as_deref().map(ModelName::new).transpose()?,
        text: body.text,
    };
    api.quantizer.check(&request)?;
    let request = Quantize::request(request)?;
    let job = api.jobs.submit(&caller, Quantize::KIND, request).await?;
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

/// What to check.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerifyBody {
    model: String,
    /// Fetch again what is bad.
    #[serde(default)]
    repair: bool,
}

/// Compares the files of a model with what was published: a job of the kind `verify`.
#[utoipa::path(post, path = "/models/verify", tag = "models", request_body = VerifyBody, responses(
    (status = 202, body = JobBody),
    (status = "4XX", body = ErrorBody),
))]
async fn verify_model(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(body): Payload<VerifyBody>,
) -> Result<(StatusCode, Json<JobBody>), Failure> {
    let name = model_name(&body.model)?;
    api.models.model(&name)?;
    let request = Verify::request(&VerifyRequest {
        name,
        repair: body.repair,
    })?;
    let job = api.jobs.submit(&caller, Verify::KIND, request).await?;
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

/// What to estimate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EstimateAsked {
    model: String,
    /// Tokens of one conversation.
    #[schema(minimum = 1)]
    context_length: Option<u32>,
    /// Precision: `none`, `fp16`, `bf16`, `8bit`, `4bit` or `2bit`.
    level: Option<String>,
}

/// What loading a model would take.
#[utoipa::path(post, path = "/models/estimate", tag = "models", request_body = EstimateAsked, responses(
    (status = 200, body = EstimateBody),
    (status = "4XX", body = ErrorBody),
))]
async fn estimate_model(
    State(api): State<Api>,
    Payload(asked): Payload<EstimateAsked>,
) -> Result<Json<EstimateBody>, Failure> {
    let estimate = api
        .models
        .estimate(EstimateRequest {
            name: model_name(&asked.model)?,
            context_length: asked.context_length,
            level: level(asked.level.as_deref())?,
        })
        .await?;
    Ok(Json(estimate.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CatalogQuery {
    /// Words that must all be there.
    search: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct CatalogList {
    models: Vec<CatalogBody>,
}

/// Models that are known, installed or not, and what would fit into this machine.
#[utoipa::path(get, path = "/catalog", tag = "models", params(CatalogQuery), responses(
    (status = 200, body = CatalogList),
    (status = "4XX", body = ErrorBody),
))]
async fn catalog(
    State(api): State<Api>,
    Params(query): Params<CatalogQuery>,
) -> Result<Json<CatalogList>, Failure> {
    let ceilings = api.models.cpu_ceilings().await?;
    let entries = api
        .catalog
        .list(query.search.unwrap_or_default(), api.models.list(), ceilings)
        .await?;
    Ok(Json(CatalogList {
        models: entries.into_iter().map(CatalogBody::from).collect(),
    }))
}
