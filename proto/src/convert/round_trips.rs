//! Every domain value survives the way to the wire and back.

use airunner_core::access::{AuditEntry, CreatedKey, Key, NewKey, Secret};
use airunner_core::catalog::CatalogEntry;
use airunner_core::download::{Download, DownloadId, PullEvent, PullRequest, VerifyEvent, VerifyRequest};
use airunner_core::event::WatchMessage;
use airunner_core::generate::{GenerateEvent, GenerateRequest};
use airunner_core::hardware::Hardware;
use airunner_core::memory::{
    BudgetChange, Estimate, EstimateRequest, FreeRequest, Freed, MemoryBreakdown, Permission,
    PermissionRequest, ReserveRequest, Reserved,
};
use airunner_core::model::{
    CopyRequest, ImportEvent, ImportProgress, ImportRequest, LoadEvent, LoadProgress, LoadRequest, Model,
    ModelDetails, UnloadRequest, WorkerLoad, WorkerLoadEvent,
};
use airunner_core::notification::{ActionResult, Notification, PresenterOrder, PresenterReport, TestReport};
use airunner_core::pause::{PauseRequest, Paused};
use airunner_core::status::{DaemonStatus, Hello};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeInput, TokenizeRequest};
use airunner_core::usage::{Usage, UsageRequest};
use airunner_core::{Fault, KeepAlive, ModelName};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::samples;
use crate::{v1, worker_v1};

/// Domain, wire, bytes, wire, domain.
fn there_and_back<D, W>(value: D) -> D
where
    W: From<D> + Message + Default,
    D: TryFrom<W, Error: Into<Trouble>>,
{
    let bytes = W::from(value).encode_to_vec();
    let wire = W::decode(&bytes[..]).unwrap();
    match D::try_from(wire) {
        Ok(value) => value,
        Err(error) => panic!("{:?}", error.into()),
    }
}

/// Conversions that cannot fail and those that can, alike.
#[derive(Debug)]
struct Trouble(#[expect(dead_code, reason = "printed by the panic")] Option<Fault>);

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self(Some(fault))
    }
}

impl From<std::convert::Infallible> for Trouble {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

macro_rules! round_trips {
    ($($test:ident: $domain:ty => $wire:ty, $samples:expr;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(128))]
            $(#[test]
            fn $test(value in $samples) {
                prop_assert_eq!(there_and_back::<$domain, $wire>(value.clone()), value);
            })*
        }
    };
}

round_trips! {
    keep_alive: KeepAlive => v1::KeepAlive, samples::keep_alive();
    load_progress: LoadProgress => v1::LoadProgress, samples::progress();
    import_progress: ImportProgress => v1::ImportProgress, samples::import_progress();
    model: Model => v1::Model, samples::model();
    list: Vec<Model> => v1::ListModelsResponse, proptest::collection::vec(samples::model(), 0..4);
    details: ModelDetails => v1::ShowModelResponse, samples::details();
    show: ModelName => v1::ShowModelRequest, samples::name();
    remove: ModelName => v1::RemoveModelRequest, samples::name();
    copy: CopyRequest => v1::CopyModelRequest,
        (samples::name(), samples::name()).prop_map(|(source, destination)| CopyRequest { source, destination });
    copied: Model => v1::CopyModelResponse, samples::model();
    status: DaemonStatus => v1::StatusResponse, samples::status();
    pause_request: PauseRequest => v1::PauseRequest, samples::pause_request();
    paused: Paused => v1::PauseResponse, samples::paused();
    watch: WatchMessage => v1::WatchResponse, samples::watch_message();
    generate_request: GenerateRequest => v1::GenerateRequest, samples::generate_request();
    generate_event: GenerateEvent => v1::GenerateResponse, samples::generate_event();
    worker_load: WorkerLoad => worker_v1::LoadRequest, samples::worker_load();
    hello: Hello => v1::HelloResponse, any::<(u32, String, u32)>().prop_map(|(protocol_version, daemon_version, pid)| Hello { protocol_version, daemon_version, pid });
    load_request: LoadRequest => v1::LoadModelRequest, samples::load_request();
    unload_request: UnloadRequest => v1::UnloadModelRequest,
        (samples::name(), any::<bool>()).prop_map(|(name, force)| UnloadRequest { name, force });
    import_request: ImportRequest => v1::ImportModelRequest, samples::import_request();
    load_event: LoadEvent => v1::LoadModelResponse, samples::load_event();
    import_event: ImportEvent => v1::ImportModelResponse,
        prop_oneof![samples::import_progress().prop_map(ImportEvent::Progress), samples::model().prop_map(|model| ImportEvent::Installed(Box::new(model)))];
    worker_load_event: WorkerLoadEvent => worker_v1::LoadResponse,
        prop_oneof![
            samples::progress().prop_map(WorkerLoadEvent::Progress),
            samples::loaded().prop_map(WorkerLoadEvent::Loaded),
        ];
    fault: Fault => v1::Fault, samples::fault();
    hardware: Hardware => v1::HardwareProfile, samples::hardware();
    memory: Vec<MemoryBreakdown> => v1::MemoryResponse, vec(samples::breakdown(), 0..3);
    budget_change: BudgetChange => v1::SetBudgetRequest, samples::budget_change();
    free_request: FreeRequest => v1::FreeRequest, any::<bool>().prop_map(|pinned| FreeRequest { pinned });
    freed: Freed => v1::FreeResponse, samples::freed();
    reserve_request: ReserveRequest => v1::ReserveRequest, samples::reserve_request();
    reserved: Reserved => v1::ReserveResponse, samples::reserved();
    estimate_request: EstimateRequest => v1::EstimateModelRequest, samples::estimate_request();
    estimate: Estimate => v1::EstimateModelResponse, samples::estimate();
    permission_request: PermissionRequest => v1::CanPerformRequest, samples::permission_request();
    permission: Permission => v1::CanPerformResponse, samples::permission();
    usage_request: UsageRequest => v1::UsageRequest,
        proptest::option::of(samples::duration()).prop_map(|within| UsageRequest { within });
    usage: Vec<Usage> => v1::UsageResponse, vec(samples::usage(), 0..3);
    catalog_query: String => v1::ListCatalogRequest, ".{0,20}";
    catalog: Vec<CatalogEntry> => v1::ListCatalogResponse, vec(samples::catalog_entry(), 0..3);
    pull_request: PullRequest => v1::PullRequest, samples::pull_request();
    pull_event: PullEvent => v1::PullResponse, samples::pull_event();
    downloads: Vec<Download> => v1::ListDownloadsResponse, vec(samples::download(), 0..3);
    download_id: DownloadId => v1::DownloadRequest, any::<u64>().prop_map(DownloadId);
    verify_request: VerifyRequest => v1::VerifyModelRequest, samples::verify_request();
    verify_event: VerifyEvent => v1::VerifyModelResponse, samples::verify_event();
    notifications: Vec<Notification> => v1::ListNotificationsResponse, vec(samples::notification(), 0..3);
    action_result: ActionResult => v1::ActResponse, samples::action_result();
    test_report: TestReport => v1::TestNotificationResponse, samples::test_report();
    presenter_report: PresenterReport => v1::PresentRequest, samples::presenter_report();
    presenter_order: PresenterOrder => v1::PresentResponse, samples::presenter_order();
    new_key: NewKey => v1::CreateKeyRequest, samples::new_key();
    created_key: CreatedKey => v1::CreateKeyResponse, samples::created_key();
    keys: Vec<Key> => v1::ListKeysResponse, vec(samples::key(), 0..3);
    revoke_key: String => v1::RevokeKeyRequest, ".{0,20}";
    local_token: Secret => v1::LocalTokenResponse, samples::secret();
    audit: Vec<AuditEntry> => v1::AuditResponse, vec(samples::audit_entry(), 0..3);
    tokenize: TokenizeRequest => v1::TokenizeRequest,
        (samples::name(), prop_oneof![
            any::<(String, bool)>().prop_map(|(text, add_special_tokens)| TokenizeInput::Text { text, add_special_tokens }),
            samples::conversation().prop_map(TokenizeInput::Conversation),
        ]).prop_map(|(model, input)| TokenizeRequest { model, input });
    detokenize: DetokenizeRequest => v1::DetokenizeRequest,
        (samples::name(), any::<Vec<u32>>(), any::<bool>()).prop_map(|(model, tokens, skip_special_tokens)| {
            DetokenizeRequest { model, tokens, skip_special_tokens }
        });
}
