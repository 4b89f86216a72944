//! The catalogue, downloads and checks, for property tests.

use airunner_core::catalog::{CatalogEntry, CatalogVariant, Modality};
use airunner_core::download::{
    Download, DownloadId, DownloadState, FileProblem, PullEvent, PullRequest, VerifyEvent, VerifyRequest,
};
use airunner_core::memory::Quantization;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{fault, level, model, moment, name, text};

pub(in crate::convert) fn download() -> impl Strategy<Value = Download> {
    let texts = [text(), text(), text()];
    let state = (select(&DownloadState::ALL), option::of(fault()), moment());
    (name(), texts, level(), any::<[u64; 4]>(), state).prop_map(
        |(name, [repository, revision, file], level, figures, (state, fault, started_at))| {
            let [id, done_bytes, total_bytes, bytes_per_second] = figures;
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

pub(in crate::convert) fn pull_request() -> impl Strategy<Value = PullRequest> {
    let word = "[a-zA-Z0-9/@:._é-]{1,16}";
    (word, option::of(word), option::of(name()), level()).prop_map(|(source, revision, name, level)| {
        PullRequest {
            source,
            revision,
            name,
            level,
        }
    })
}

pub(in crate::convert) fn pull_event() -> impl Strategy<Value = PullEvent> {
    prop_oneof![
        download().prop_map(|download| PullEvent::Progress(Box::new(download))),
        model().prop_map(|model| PullEvent::Installed(Box::new(model))),
    ]
}

pub(in crate::convert) fn verify_request() -> impl Strategy<Value = VerifyRequest> {
    (name(), any::<bool>()).prop_map(|(name, repair)| VerifyRequest { name, repair })
}

pub(in crate::convert) fn verify_event() -> impl Strategy<Value = VerifyEvent> {
    let problem = (text(), text(), any::<bool>()).prop_map(|(path, problem, repaired)| FileProblem {
        path,
        problem,
        repaired,
    });
    prop_oneof![
        (text(), any::<[u64; 2]>()).prop_map(|(file, [done_bytes, total_bytes])| VerifyEvent::Progress {
            file,
            done_bytes,
            total_bytes,
        }),
        vec(problem, 0..3).prop_map(VerifyEvent::Finished),
    ]
}

pub(in crate::convert) fn catalog_entry() -> impl Strategy<Value = CatalogEntry> {
    let variant = (select(&Quantization::ALL), text(), any::<([u64; 2], bool)>()).prop_map(
        |(level, file, ([size_bytes, memory_bytes], fits))| CatalogVariant {
            level,
            file,
            size_bytes,
            memory_bytes,
            fits,
        },
    );
    let texts = [text(), text(), text(), text()];
    let figures = (0.0..1e6_f64, any::<(u32, u64, [bool; 3])>());
    let lists = (vec(text(), 0..3), vec(variant, 0..3));
    let here = (option::of(name()), level());
    (name(), select(&Modality::ALL), texts, figures, lists, here).prop_map(
        |(name, modality, texts, figures, (aliases, variants), (installed, fits))| {
            let [description, repository, revision, license] = texts;
            let (parameters_billions, (context_length, memory, [verified, runnable, from_user])) = figures;
            CatalogEntry {
                name,
                aliases,
                modality,
                description,
                repository,
                revision,
                license,
                parameters_billions,
                context_length,
                recommended_memory_bytes: memory,
                verified,
                runnable,
                from_user,
                variants,
                installed,
                fits,
            }
        },
    )
}
