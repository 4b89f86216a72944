//! Checking an installed model, and fetching again what is bad.

use std::sync::Arc;

use airunner_core::download::{FileProblem, VerifyEvent, VerifyRequest};
use airunner_core::lifecycle::StateName;
use airunner_core::model::Source;
use airunner_core::{ErrorKind, Fault};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::actor::{offline, release};
use super::blocking::blocking;
use super::claims::Claim;
use super::digest::Digest;
use super::fetch::{Progress, Tools, Wanted, fetch};
use super::handle::VerifyEvents;
use super::hub::{Content, Place, Repository};
use super::library::{Library, model};
use crate::models::StoreError;
use crate::models::store::Published;

const CAPACITY: usize = 16;
/// Bytes between two reports.
const REPORT_EVERY: u64 = 8 << 20;

type Events = mpsc::Sender<Result<VerifyEvent, Fault>>;

pub(super) fn verify(tools: Arc<Tools>, library: Arc<dyn Library>, request: VerifyRequest) -> VerifyEvents {
    let (sender, events) = mpsc::channel(CAPACITY);
    tokio::spawn(async move {
        let cancel = tools.ending.child_token();
        let checked = check(&tools, &*library, request, sender.clone(), &cancel);
        let mut checked = std::pin::pin!(checked);
        let checked = tokio::select! {
            checked = &mut checked => checked,
            () = sender.closed() => {
                cancel.cancel();
                // What was begun is put in order.
                checked.await
            }
        };
        if sender.send(checked.map(VerifyEvent::Finished)).await.is_err() {
            tracing::debug!("nobody waits for the check any more");
        }
    });
    events
}

async fn check(
    tools: &Arc<Tools>,
    library: &dyn Library,
    request: VerifyRequest,
    events: Events,
    cancel: &CancellationToken,
) -> Result<Vec<FileProblem>, Fault> {
    let _permit = tokio::select! {
        permit = tools.checks.acquire() => permit,
        () = cancel.cancelled() => return Err(StoreError::Cancelled.into()),
    };
    let VerifyRequest { name, repair } = request;
    let found = model(library, &name).ok_or_else(|| {
        Fault::new(
            ErrorKind::ModelNotFound,
            format!("no model called {name} is installed"),
        )
    })?;
    let origin = if repair {
        Some(origin(&found.source)?)
    } else {
        None
    };
    if repair && tools.hub.is_offline() {
        return Err(offline());
    }
    if repair && found.state != StateName::Unloaded {
        return Err(Fault::new(
            ErrorKind::Busy,
            format!("{name} is in memory: unload it before it is repaired"),
        ));
    }
    let store = library.store();
    let reading = cancel.clone();
    let (published, problems) = blocking(move || {
        let published = store.published(&name)?;
        let problems = read_all(&published, &events, &reading)?;
        Ok((published, problems))
    })
    .await?;
    match origin {
        Some(origin) if !problems.is_empty() => {
            fetch_again(tools, &origin, published, problems, cancel).await
        }
        Some(_) | None => Ok(problems),
    }
}

/// Repository and commit a model was fetched from.
fn origin(source: &Source) -> Result<(Repository, String), Fault> {
    let text = match source {
        Source::Hub(text) => text,
        Source::Builtin => {
            return Err(Fault::invalid(
                "models that ship with the program are repaired by installing the program again",
            ));
        }
        Source::Import(_) | Source::Linked(_) => {
            return Err(Fault::invalid(
                "the model did not come from a hub, so nobody can be asked for its files: import it again",
            ));
        }
    };
    let (repository, commit) = text
        .split_once('@')
        .ok_or_else(|| Fault::internal(format!("{text} is no place of a hub")))?;
    Ok((Repository::parse(repository)?, commit.to_owned()))
}

fn read_all(
    published: &Published,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Vec<FileProblem>, Fault> {
    let total_bytes = published.size();
    let (mut done_bytes, mut reported, mut current) = (0, 0, String::new());
    let problems = published.verify(&mut |file, bytes| {
        done_bytes += bytes;
        if cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        if file != current || done_bytes - reported >= REPORT_EVERY || done_bytes == total_bytes {
            reported = done_bytes;
            file.clone_into(&mut current);
            // A reader that is slow misses intermediate progress, which the next replaces.
            drop(events.try_send(Ok(VerifyEvent::Progress {
                file: current.clone(),
                done_bytes,
                total_bytes,
            })));
        }
        Ok(())
    })?;
    Ok(problems)
}

/// Only what is bad, and only what is as it was published.
async fn fetch_again(
    tools: &Arc<Tools>,
    (repository, commit): &(Repository, String),
    published: Published,
    mut problems: Vec<FileProblem>,
    cancel: &CancellationToken,
) -> Result<Vec<FileProblem>, Fault> {
    let mut wanted = Vec::new();
    for problem in &problems {
        let known = published.files.iter().find(|file| file.path == problem.path);
        let content = known.and_then(|file| {
            let digest = Digest::from_hex(&file.sha256)?;
            Some(Content {
                size: file.size,
                digest,
            })
        });
        wanted.push(Wanted {
            place: Place {
                repository: repository.clone(),
                commit: commit.clone(),
                path: format!("{}{}", published.hub_directory, problem.path),
            },
            content: content.ok_or_else(|| Fault::internal(format!("{} has no digest", problem.path)))?,
        });
    }
    let digests: Vec<Digest> = wanted.iter().map(|wanted| wanted.content.digest).collect();
    let claims = fetch_and_claim(tools, wanted, cancel).await?;
    let area = tools.area.clone();
    let places: Vec<_> = problems
        .iter()
        .map(|problem| problem.path.clone())
        .zip(digests.iter().map(|digest| area.path(digest)))
        .collect();
    blocking(move || {
        for (path, from) in &places {
            published.replace(path, from)?;
        }
        Ok(())
    })
    .await?;
    drop(claims);
    for digest in digests {
        release(tools, digest).await?;
    }
    for problem in &mut problems {
        problem.repaired = true;
    }
    Ok(problems)
}

/// All of it is in the area and stays there for as long as the claims live.
async fn fetch_and_claim(
    tools: &Arc<Tools>,
    wanted: Vec<Wanted>,
    cancel: &CancellationToken,
) -> Result<Vec<Claim>, Fault> {
    // In one order, so that no two wait for each other.
    let content = |wanted: &Wanted| (wanted.content.digest, wanted.content.size);
    let mut contents: Vec<(Digest, u64)> = wanted.iter().map(content).collect();
    contents.sort_unstable();
    contents.dedup();
    loop {
        fetch_all(tools, wanted.clone(), cancel).await?;
        let mut claims = Vec::new();
        let mut here = true;
        for (digest, size) in &contents {
            claims.push(claim(tools, *digest, cancel).await?);
            let record = tools.storage.content(digest.to_string()).await?;
            let checked = record.sha256.is_some() || *size == 0;
            here &= checked && tools.area.holds(digest, *size);
        }
        // Whoever else wanted it may have deleted it in between.
        if here {
            return Ok(claims);
        }
    }
}

async fn claim(tools: &Tools, digest: Digest, cancel: &CancellationToken) -> Result<Claim, Fault> {
    loop {
        if let Some(claim) = tools.claims.try_claim(digest) {
            return Ok(claim);
        }
        tokio::select! {
            () = tools.claims.released(digest) => {}
            () = cancel.cancelled() => return Err(StoreError::Cancelled.into()),
        }
    }
}

async fn fetch_all(tools: &Arc<Tools>, wanted: Vec<Wanted>, cancel: &CancellationToken) -> Result<(), Fault> {
    let (notices, mut nobody) = mpsc::channel(16);
    let drain = async { while nobody.recv().await.is_some() {} };
    let progress = Arc::new(Progress::default());
    let fetched = async {
        let fetched = fetch(tools, wanted, &progress, &notices, cancel).await;
        drop(notices);
        fetched
    };
    let (fetched, ()) = tokio::join!(fetched, drain);
    fetched.map(|_| ())
}
