//! Domain values as the JSON of the contract for scripts, and as tables for people.

mod answer;
mod bench;
mod catalog;
mod downloads;
mod estimate;
mod hardware;
mod keys;
mod memory;
mod models;
mod notifications;
mod pause;
mod processes;
mod quantize;
mod service;
mod settings;
mod status;
mod usage;

#[cfg(test)]
mod samples;

pub(crate) use answer::AnswerView;
pub(crate) use bench::{BenchView, FirstToken, Streams, bench_table};
pub(crate) use catalog::{catalog_rows, catalog_table};
pub(crate) use downloads::{DownloadRow, ProblemsView, download_rows, downloads_table, problems_table};
pub(crate) use estimate::{EstimateView, estimate_lines};
pub(crate) use hardware::{HardwareView, gpus_table, hardware_lines};
pub(crate) use keys::{CreatedKeyView, KeyRow, TokenView, audit_rows, audit_table, key_rows, keys_table};
pub(crate) use memory::{FreedView, MemoryView, memory_lines};
pub(crate) use models::{DetailsView, ModelRow, model_rows, models_table};
pub(crate) use notifications::{
    ActedView, NotificationRow, TestedView, notification_rows, notifications_table,
};
pub(crate) use pause::{PausedView, pause_line};
pub(crate) use processes::{ProcessRow, process_rows, processes_table};
pub(crate) use quantize::{QuantizedView, quantized_lines};
pub(crate) use service::{InstalledView, ServiceView, login, service_lines};
pub(crate) use settings::{SettingView, plain, setting_views, settings_table};
pub(crate) use status::StatusView;
pub(crate) use usage::{usage_rows, usage_table};
