//! One download from beginning to end.

use std::collections::HashMap;
use std::sync::Arc;

use airunner_core::download::{DownloadId, DownloadState};
use airunner_core::model::Source;
use airunner_core::{ErrorKind, Fault};
use airunner_runtimes::onnx::{self, ScanError};
use airunner_runtimes::package::{Files, PackageError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::blocking::blocking;
use super::digest::Digest;
use super::fetch::{Notice, Progress, Tools, Wanted, fetch};
use super::library::Library;
use super::resolve::{Asked, Asker, Plan, add, resolve};
use crate::models::store::{Fetched, ManifestFile, Staging};
use crate::storage::DownloadRecord;

/// Files that graphs may name beyond those whose names tell.
const MAX_ADDED: usize = 200;

/// What a run tells its owner.
#[derive(Debug)]
pub(super) enum Report {
    State(DownloadState, Option<Fault>),
    /// The hub has said what there is.
    Planned(Box<DownloadRecord>),
    /// The file under way.
    File(String),
    /// It is over; set if the model is installed.
    Ended(Result<(), Fault>),
}

pub(super) type Reports = mpsc::Sender<(DownloadId, Report)>;

/// Everything a run needs.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) tools: Arc<Tools>,
    pub(super) library: Arc<dyn Library>,
    pub(super) asked: Asked,
    pub(super) progress: Arc<Progress>,
    pub(super) reports: Reports,
    pub(super) cancel: CancellationToken,
}

impl Run {
    /// Reports its own end.
    pub(super) async fn run(self) {
        let outcome = self.install().await;
        self.report(Report::Ended(outcome)).await;
    }

    async fn install(&self) -> Result<(), Fault> {
        self.progress.reset();
        let mut plan = self.plan().await?;
        if self.is_installed(&plan)? {
            return Ok(());
        }
        let (staging, files) = self.gather(&mut plan).await?;
        self.publish(&plan, staging, files).await
    }

    /// As it was written down, or else as the hub says.
    async fn plan(&self) -> Result<Plan, Fault> {
        let record = &self.asked.record;
        let files = self.tools.storage.download_files(record.id).await?;
        if let Some(plan) = Plan::written(record, &files) {
            return Ok(plan);
        }
        self.report(Report::State(DownloadState::Resolving, None)).await;
        let ceilings = self.library.ceilings().await;
        let asker = self.asker(DownloadState::Resolving);
        let plan = tokio::select! {
            plan = resolve(&asker, &self.asked, &ceilings) => plan?,
            () = self.cancel.cancelled() => return Err(stopped()),
        };
        self.write_down(&plan).await?;
        Ok(plan)
    }

    async fn write_down(&self, plan: &Plan) -> Result<(), Fault> {
        let record = DownloadRecord {
            commit: Some(plan.commit.clone()),
            level: plan.level,
            directory: plan.directory.clone(),
            total_bytes: plan.size(),
            ..self.asked.record.clone()
        };
        self.tools
            .storage
            .set_download_plan(record.clone(), plan.records())
            .await?;
        self.report(Report::Planned(Box::new(record))).await;
        Ok(())
    }

    /// True if these very files are a model of that name already; an error if others are.
    fn is_installed(&self, plan: &Plan) -> Result<bool, Fault> {
        let name = &self.asked.record.name;
        let models = self.library.models();
        let Some(found) = models.iter().find(|model| model.name.collides_with(name)) else {
            return Ok(false);
        };
        let same = found.name == *name
            && found.source == self.source(plan)
            && self.library.store().published(name).is_ok_and(|published| {
                plan.files.iter().all(|file| {
                    let inside = plan.inside(&file.path);
                    let is_it =
                        |known: &ManifestFile| known.path == inside && known.size == file.content.size;
                    published.files.iter().any(is_it)
                })
            });
        if same {
            return Ok(true);
        }
        Err(Fault::new(
            ErrorKind::AlreadyExists,
            format!(
                "a model called {} is installed ({}): remove it first or choose another name",
                found.name, found.source
            ),
        ))
    }

    fn source(&self, plan: &Plan) -> Source {
        Source::Hub(format!("{}@{}", plan.repository, plan.commit))
    }

    /// All files, in a directory that is not a package of the store yet.
    async fn gather(&self, plan: &mut Plan) -> Result<(Staging, Vec<ManifestFile>), Fault> {
        let store = self.library.store();
        let mut staging = blocking(move || Ok(store.stage()?)).await?;
        for _ in 0..MAX_ADDED {
            let sums = self.fetch(plan).await?;
            let placed = self.place(plan, staging);
            let missing;
            (staging, missing) = placed.await?;
            let Some(missing) = missing else {
                return Ok((staging, manifest(plan, &sums)?));
            };
            tracing::debug!(file = missing, "the graph names a file that was not chosen");
            self.add(plan, &missing).await?;
        }
        Err(Fault::new(
            ErrorKind::ModelInvalid,
            format!("the model names more than {MAX_ADDED} further files"),
        ))
    }

    async fn add(&self, plan: &mut Plan, missing: &str) -> Result<(), Fault> {
        let asker = self.asker(DownloadState::Running);
        tokio::select! {
            added = add(&asker, plan, missing) => added?,
            () = self.cancel.cancelled() => return Err(stopped()),
        }
        self.write_down(plan).await
    }

    async fn fetch(&self, plan: &Plan) -> Result<HashMap<Digest, String>, Fault> {
        self.report(Report::State(DownloadState::Running, None)).await;
        self.progress.reset();
        let wanted = plan
            .files
            .iter()
            .map(|file| Wanted {
                place: plan.place(&file.path),
                content: file.content,
            })
            .collect();
        let (sender, mut notices) = mpsc::channel(16);
        let fetched = fetch(&self.tools, wanted, &self.progress, &sender, &self.cancel);
        let mut fetched = std::pin::pin!(fetched);
        loop {
            tokio::select! {
                outcome = &mut fetched => return outcome,
                Some(notice) = notices.recv() => self.report(report_of(notice)).await,
            }
        }
    }

    /// Puts the files that are here into the package; names one that its graphs need besides.
    async fn place(&self, plan: &Plan, staging: Staging) -> Result<(Staging, Option<String>), Fault> {
        let area = self.tools.area.clone();
        let plan = plan.clone();
        blocking(move || {
            for file in &plan.files {
                staging.place(plan.inside(&file.path), &area.path(&file.content.digest))?;
            }
            let missing = missing(&plan, &staging)?;
            Ok((staging, missing))
        })
        .await
    }

    async fn publish(&self, plan: &Plan, staging: Staging, files: Vec<ManifestFile>) -> Result<(), Fault> {
        self.report(Report::State(DownloadState::Publishing, None)).await;
        let (store, cancel, source) = (self.library.store(), self.cancel.clone(), self.source(plan));
        let (name, directory) = (self.asked.record.name.clone(), plan.directory.clone());
        let installed = blocking(move || {
            let fetched = Fetched {
                name: &name,
                source,
                hub_directory: &directory,
                files,
            };
            Ok(store.publish_fetched(staging, fetched, &|| cancel.is_cancelled())?)
        });
        self.library.installed(installed.await?).await
    }

    fn asker(&self, usual: DownloadState) -> Asker<'_> {
        Asker {
            hub: &self.tools.hub,
            reports: &self.reports,
            id: self.asked.record.id,
            usual,
        }
    }

    async fn report(&self, report: Report) {
        // The owner is gone only when the daemon ends.
        drop(self.reports.send((self.asked.record.id, report)).await);
    }
}

fn report_of(notice: Notice) -> Report {
    match notice {
        Notice::Running => Report::State(DownloadState::Running, None),
        Notice::Waiting(fault) => Report::State(DownloadState::Waiting, Some(fault)),
        Notice::Verifying => Report::State(DownloadState::Verifying, None),
        Notice::File(file) => Report::File(file),
    }
}

fn stopped() -> Fault {
    Fault::new(ErrorKind::Cancelled, "the download was stopped")
}

fn manifest(plan: &Plan, sums: &HashMap<Digest, String>) -> Result<Vec<ManifestFile>, Fault> {
    plan.files
        .iter()
        .map(|file| {
            let sha256 = sums.get(&file.content.digest).cloned();
            Ok(ManifestFile {
                path: plan.inside(&file.path).to_owned(),
                size: file.content.size,
                sha256: sha256.ok_or_else(|| Fault::internal(format!("{} was not checked", file.path)))?,
            })
        })
        .collect()
}

/// A file that a graph of the package keeps its weights in, and that is not there.
fn missing(plan: &Plan, staging: &Staging) -> Result<Option<String>, Fault> {
    let files = Files::open(staging.directory())?;
    for file in plan.files.iter().filter(|file| file.path.ends_with(".onnx")) {
        match onnx::inspect(&files, plan.inside(&file.path)) {
            Ok(_) => {}
            Err(error) => return missing_file(&error).map(Some).ok_or_else(|| error.into()),
        }
    }
    Ok(None)
}

fn missing_file(error: &PackageError) -> Option<String> {
    let PackageError::Graph(error) = error else {
        return None;
    };
    let mut error = error;
    while let ScanError::InFile { source, .. } = error {
        error = source;
    }
    let ScanError::External { source, .. } = error else {
        return None;
    };
    if let PackageError::Missing { file } = &**source {
        Some(file.clone())
    } else {
        None
    }
}
