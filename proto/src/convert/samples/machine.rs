//! Memory and downloads, for property tests.

use std::time::SystemTime;

use airunner_core::download::{Download, DownloadId, DownloadState};
use airunner_core::hardware::Device;
use airunner_core::memory::{MemoryBreakdown, Quantization};
use airunner_core::{ErrorKind, Fault};
use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{duration, name, text};

pub(in crate::convert) fn device() -> impl Strategy<Value = Device> {
    prop_oneof![
        Just(Device::Cpu),
        any::<u32>().prop_map(Device::Cuda),
        any::<u32>().prop_map(Device::Rocm),
    ]
}

pub(in crate::convert) fn level() -> impl Strategy<Value = Option<Quantization>> {
    option::of(select(&Quantization::ALL))
}

pub(in crate::convert) fn moment() -> impl Strategy<Value = SystemTime> {
    duration().prop_map(|time| SystemTime::UNIX_EPOCH + time)
}

pub(in crate::convert) fn fault() -> impl Strategy<Value = Fault> {
    let figures = btree_map("[a-z_]{1,12}", text(), 0..4);
    (select(&ErrorKind::ALL), text(), option::of(duration()), figures).prop_map(
        |(kind, message, retry_after, figures)| Fault {
            kind,
            message,
            retry_after,
            figures,
        },
    )
}

pub(in crate::convert) fn breakdown() -> impl Strategy<Value = MemoryBreakdown> {
    (device(), any::<[u64; 7]>()).prop_map(
        |(device, [total, budget, models, canvas_history, reserve, external, free])| MemoryBreakdown {
            device,
            total_bytes: total,
            budget_bytes: budget,
            models_bytes: models,
            canvas_history_bytes: canvas_history,
            system_reserve_bytes: reserve,
            external_apps_bytes: external,
            free_bytes: free,
        },
    )
}

pub(in crate::convert) fn download() -> impl Strategy<Value = Download> {
    let figures = any::<[u64; 4]>();
    let texts = (text(), text(), text());
    (
        name(),
        texts,
        level(),
        select(&DownloadState::ALL),
        figures,
        option::of(fault()),
        moment(),
    )
        .prop_map(
            |(
                name,
                (repository, revision, file),
                level,
                state,
                [id, done_bytes, total_bytes, bytes_per_second],
                fault,
                started_at,
            )| {
                Download {
                    id: DownloadId(id),
                    name,
                    repository,
                    revision,
                    level,
                    state,
                    done_bytes,
                    total_bytes,
                    bytes_per_second,
                    file,
                    fault,
                    started_at,
                }
            },
        )
}
