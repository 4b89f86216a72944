//! From what somebody asked for to the files that have to be fetched.

use airunner_core::catalog::CatalogEntry;
use airunner_core::download::{DownloadId, DownloadState, PullRequest};
use airunner_core::memory::Quantization;
use airunner_core::{Fault, ModelName};

use super::choose::{self, Ceiling, Choice, Wish};
use super::digest::Digest;
use super::hub::{Content, Hub, HubError, Listing, Place, Repository, check_revision};
use super::retry;
use super::run::{Report, Reports};
use crate::storage::{DownloadFileRecord, DownloadRecord};

const DEFAULT_REVISION: &str = "main";
/// Somebody waits for the answer, so it is tried less often than the fetch that follows.
const MAX_ATTEMPTS: u32 = 5;

/// What somebody asked for, checked; nothing was asked of the network.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) record: DownloadRecord,
    /// Graph files a catalogue recommends.
    pub(super) recommended: Vec<(Quantization, String)>,
}

/// `known` is what a catalogue says of the source.
pub(super) fn understand(request: PullRequest, known: Option<CatalogEntry>) -> Result<Asked, Fault> {
    let repository = match &known {
        Some(entry) => Repository::parse(&entry.repository)?,
        None => Repository::parse(&request.source)?,
    };
    let revision = request
        .revision
        .or_else(|| known.as_ref().map(|entry| entry.revision.clone()))
        .filter(|revision| !revision.is_empty())
        .unwrap_or_else(|| DEFAULT_REVISION.to_owned());
    check_revision(&revision)?;
    let name = match (request.name, &known) {
        (Some(name), _) => name,
        (None, Some(entry)) => entry.name.clone(),
        (None, None) => ModelName::new(&repository.to_string())
            .map_err(|fault| Fault::invalid(format!("{fault}; choose another name for it")))?,
    };
    if name.is_builtin() {
        return Err(crate::models::StoreError::Reserved.into());
    }
    let variants = known.map(|entry| entry.variants).unwrap_or_default();
    Ok(Asked {
        record: DownloadRecord {
            id: DownloadId(0),
            name,
            repository: repository.to_string(),
            revision,
            wish: request.level,
            commit: None,
            level: request.level,
            directory: String::new(),
            state: DownloadState::Queued,
            fault: None,
            total_bytes: 0,
            started_at: std::time::SystemTime::now(),
        },
        recommended: variants
            .into_iter()
            .map(|variant| (variant.level, variant.file))
            .collect(),
    })
}

/// What the hub has, and what of it is to be fetched.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) repository: Repository,
    pub(super) commit: String,
    pub(super) level: Option<Quantization>,
    pub(super) directory: String,
    /// In the order of their paths.
    pub(super) files: Vec<PlannedFile>,
}

/// One file that becomes one of the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedFile {
    /// Relative to the repository.
    pub(super) path: String,
    pub(super) content: Content,
}

impl Plan {
    pub(super) fn place(&self, path: &str) -> Place {
        Place {
            repository: self.repository.clone(),
            commit: self.commit.clone(),
            path: path.to_owned(),
        }
    }

    /// As it is called in the package.
    pub(super) fn inside<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(self.directory.as_str()).unwrap_or(path)
    }

    /// Contents that are the same count once.
    pub(super) fn size(&self) -> u64 {
        let mut contents: Vec<_> = self
            .files
            .iter()
            .map(|file| (file.content.digest, file.content.size))
            .collect();
        contents.sort_unstable();
        contents.dedup();
        contents
            .iter()
            .fold(0, |sum: u64, (_, size)| sum.saturating_add(*size))
    }

    pub(super) fn records(&self) -> Vec<DownloadFileRecord> {
        let record = |file: &PlannedFile| DownloadFileRecord {
            path: file.path.clone(),
            digest: file.content.digest.to_string(),
            size: file.content.size,
        };
        self.files.iter().map(record).collect()
    }

    /// As it was written down; `None` if there is nothing of use.
    pub(super) fn written(record: &DownloadRecord, files: &[DownloadFileRecord]) -> Option<Self> {
        let files: Option<Vec<_>> = files
            .iter()
            .map(|file| {
                let digest = Digest::parse(&file.digest)?;
                let content = Content {
                    size: file.size,
                    digest,
                };
                Some(PlannedFile {
                    path: file.path.clone(),
                    content,
                })
            })
            .collect();
        Some(Self {
            repository: Repository::parse(&record.repository).ok()?,
            commit: record.commit.clone()?,
            level: record.level,
            directory: record.directory.clone(),
            files: files.filter(|files| !files.is_empty())?,
        })
    }
}

/// Who asks the hub, and tells of every failure after which it asks again.
pub(super) struct Asker<'a> {
    pub(super) hub: &'a Hub,
    pub(super) reports: &'a Reports,
    pub(super) id: DownloadId,
    /// The state to go back to when all is well again.
    pub(super) usual: DownloadState,
}

/// Asks the hub what it has, and chooses.
pub(super) async fn resolve(asker: &Asker<'_>, asked: &Asked, ceilings: &[Ceiling]) -> Result<Plan, Fault> {
    let repository = Repository::parse(&asked.record.repository)?;
    let listing = asker
        .patiently(|| asker.hub.listing(&repository, &asked.record.revision))
        .await?;
    let wish = Wish {
        level: asked.record.wish,
        ceilings,
        recommended: &asked.recommended,
    };
    let choice = choose::choose(&listing, &wish)?;
    let mut plan = Plan {
        repository,
        commit: listing.commit,
        level: choice.level,
        directory: choice.directory.clone(),
        files: Vec::new(),
    };
    plan.files = asker.describe_all(&plan, choice).await?;
    Ok(plan)
}

/// Adds a file that turned out to be needed.
pub(super) async fn add(asker: &Asker<'_>, plan: &mut Plan, inside: &str) -> Result<(), Fault> {
    let path = format!("{}{inside}", plan.directory);
    let broken = |why: &str| {
        Fault::new(
            airunner_core::ErrorKind::ModelInvalid,
            format!("the model needs the file {path}, {why}"),
        )
    };
    if choose::is_pickle(&path) {
        return Err(broken("which is never fetched: such files can hold programs"));
    }
    let (repository, commit) = (plan.repository.clone(), plan.commit.clone());
    let listing: Listing = asker
        .patiently(|| asker.hub.listing(&repository, &commit))
        .await?;
    let found = listing.files.into_iter().find(|file| file.path == path);
    let file = found.ok_or_else(|| broken("which the repository does not have"))?;
    let choice = Choice {
        level: None,
        directory: String::new(),
        graph: String::new(),
        files: vec![file],
    };
    let more = asker.describe_all(plan, choice).await?;
    plan.files.extend(more);
    plan.files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(())
}

impl Asker<'_> {
    async fn describe_all(&self, plan: &Plan, choice: Choice) -> Result<Vec<PlannedFile>, Fault> {
        let mut files = Vec::with_capacity(choice.files.len());
        for file in choice.files {
            let content = match file.content {
                Some(content) => content,
                None => {
                    let place = plan.place(&file.path);
                    self.patiently(|| self.hub.describe(&place)).await?
                }
            };
            files.push(PlannedFile {
                path: file.path,
                content,
            });
        }
        Ok(files)
    }

    async fn patiently<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, HubError>>,
    {
        let mut attempt = 0;
        loop {
            let error = match ask().await {
                Ok(answer) => {
                    if attempt > 0 {
                        self.tell(self.usual, None).await;
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            attempt += 1;
            if !error.is_passing() || attempt >= MAX_ATTEMPTS {
                return Err(error.into());
            }
            let wait = retry::wait(attempt, error.retry_after());
            let fault = Fault::from(error).retry_after(wait);
            self.tell(DownloadState::Waiting, Some(fault)).await;
            tokio::time::sleep(wait).await;
        }
    }

    async fn tell(&self, state: DownloadState, fault: Option<Fault>) {
        // The owner is gone only when the daemon ends.
        drop(self.reports.send((self.id, Report::State(state, fault))).await);
    }
}

#[cfg(test)]
mod tests {
    use airunner_core::ErrorKind;
    use airunner_core::catalog::{CatalogVariant, Modality};

    use super::*;

    fn known(text: &str) -> Option<CatalogEntry> {
        {
            (text == "small").then(|| CatalogEntry {
                name: ModelName::new("small-model").unwrap(),
                aliases: vec!["small".to_owned()],
                modality: Modality::Chat,
                description: String::new(),
                repository: "team/small-onnx".to_owned(),
                revision: "v2".to_owned(),
                license: String::new(),
                parameters_billions: 0.5,
                context_length: 0,
                recommended_memory_bytes: 0,
                verified: true,
                runnable: true,
                from_user: false,
                variants: vec![CatalogVariant {
                    level: Quantization::Int4,
                    file: "onnx/model_q4.onnx".to_owned(),
                    size_bytes: 1,
                    memory_bytes: 1,
                    fits: true,
                }],
                installed: None,
                fits: None,
            })
        }
    }

    fn ask(source: &str, revision: Option<&str>, name: Option<&str>) -> Result<Asked, Fault> {
        let request = PullRequest {
            source: source.to_owned(),
            revision: revision.map(str::to_owned),
            name: name.map(|name| ModelName::new(name).unwrap()),
            level: None,
        };
        let known = known(source);
        understand(request, known)
    }

    #[test]
    fn a_name_of_the_catalogue_or_a_repository_is_understood() {
        for (source, revision, name, expected) in [
            ("small", None, None, ("team/small-onnx", "v2", "small-model")),
            (
                "small",
                Some("main"),
                Some("mine"),
                ("team/small-onnx", "main", "mine"),
            ),
            ("team/tiny", None, None, ("team/tiny", "main", "team/tiny")),
            (
                "team/tiny",
                Some("refs/pr/3"),
                Some("t"),
                ("team/tiny", "refs/pr/3", "t"),
            ),
        ] {
            let record = ask(source, revision, name).unwrap().record;
            assert_eq!(
                (
                    record.repository.as_str(),
                    record.revision.as_str(),
                    record.name.as_str()
                ),
                expected
            );
        }
        assert_eq!(ask("small", None, None).unwrap().recommended.len(), 1);
    }

    #[test]
    fn nonsense_is_refused_before_anybody_is_asked() {
        for (source, revision, name, kind) in [
            ("unknown", None, None, ErrorKind::InvalidArgument),
            ("", None, None, ErrorKind::InvalidArgument),
            ("../x", None, None, ErrorKind::InvalidArgument),
            ("team/tiny", Some("a b"), None, ErrorKind::InvalidArgument),
            ("team/tiny", None, Some("builtin/x"), ErrorKind::PermissionDenied),
            ("team/nul", None, None, ErrorKind::InvalidArgument),
        ] {
            assert_eq!(ask(source, revision, name).unwrap_err().kind, kind, "{source}");
        }
    }

    #[test]
    fn a_plan_reads_back_from_what_was_written() {
        let digest = |byte: &str| Digest::from_hex(&byte.repeat(32)).unwrap();
        let file = |path: &str, byte: &str, size| PlannedFile {
            path: path.to_owned(),
            content: Content {
                size,
                digest: digest(byte),
            },
        };
        let plan = Plan {
            repository: Repository::parse("a/b").unwrap(),
            commit: "0123".to_owned(),
            level: Some(Quantization::Int4),
            directory: "cpu/".to_owned(),
            files: vec![
                file("cpu/a", "aa", 5),
                file("cpu/b", "aa", 5),
                file("cpu/c", "bb", 7),
            ],
        };
        assert_eq!((plan.size(), plan.inside("cpu/a")), (12, "a"));
        let mut record = ask("a/b", None, None).unwrap().record;
        assert_eq!(
            Plan::written(&record, &plan.records()),
            None,
            "the hub was not asked yet"
        );
        record.commit = Some(plan.commit.clone());
        record.level = plan.level;
        record.directory.clone_from(&plan.directory);
        assert_eq!(Plan::written(&record, &plan.records()), Some(plan));
        assert_eq!(Plan::written(&record, &[]), None);
    }
}
