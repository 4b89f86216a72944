//! What is here before anything is asked of the hub.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use airunner_core::Fault;

use super::chunks::Chunks;
use super::hash::Hasher;
use super::part::Part;
use super::{Tools, Wanted};
use crate::downloads::blocking::blocking;
use crate::downloads::claims::Claim;
use crate::downloads::digest::Digest;
use crate::storage::ContentRecord;

/// Opens a content: as far as it is here, taken out of the hub's cache, or empty.
pub(super) async fn prepare(tools: &Arc<Tools>, wanted: Wanted, claim: Claim) -> Result<Part, Fault> {
    let (digest, size) = (wanted.content.digest, wanted.content.size);
    let record = known(tools, digest, size).await?;
    let file = tools.area.path(&digest);
    if record.chunks.is_empty()
        && let Some(sha256) = reuse(tools, &wanted).await?
    {
        let mut part = Part::new(wanted, file, full(size), false, claim);
        remember(tools, &part, &sha256).await?;
        part.sha256 = Some(sha256);
        part.claim = None;
        return Ok(part);
    }
    let area = tools.area.clone();
    let here = blocking(move || area.prepare(&digest, size)).await?;
    let written = if here { record.chunks.as_slice() } else { &[] };
    let chunks = Chunks::new(size, written);
    let mut part = Part::new(wanted, file, chunks, record.refetched && here, claim);
    if let Some(sha256) = record.sha256.filter(|_| part.chunks.is_full() && size > 0) {
        part.sha256 = Some(sha256);
        part.claim = None;
    } else if size == 0 {
        let sha256 = part.hasher.take().and_then(Hasher::finish);
        part.sha256 = Some(sha256.ok_or_else(|| super::part_is_wrong(&part))?);
        part.claim = None;
    }
    Ok(part)
}

/// What was written down of a content. That of a file which is gone is forgotten before there is
/// another file: whoever comes after a crash would take its emptiness for what was checked.
async fn known(tools: &Tools, digest: Digest, size: u64) -> Result<ContentRecord, Fault> {
    let record = tools.storage.content(digest.to_string()).await?;
    let area = tools.area.clone();
    if record == ContentRecord::default() || blocking(move || Ok(area.holds(&digest, size))).await? {
        return Ok(record);
    }
    let nothing = ContentRecord::default();
    tools
        .storage
        .put_content(digest.to_string(), nothing.clone())
        .await?;
    Ok(nothing)
}

fn full(size: u64) -> Chunks {
    Chunks::new(
        size,
        &vec![0xff; size.div_ceil(super::chunks::CHUNK).div_ceil(8) as usize],
    )
}

async fn remember(tools: &Tools, part: &Part, sha256: &str) -> Result<(), Fault> {
    let record = ContentRecord {
        chunks: part.chunks.bits().to_vec(),
        sha256: Some(sha256.to_owned()),
        refetched: false,
    };
    tools
        .storage
        .put_content(part.wanted.content.digest.to_string(), record)
        .await
}

/// The SHA-256 of the content, if the hub's cache has it and it is what it should be.
async fn reuse(tools: &Arc<Tools>, wanted: &Wanted) -> Result<Option<String>, Fault> {
    let (tools, wanted) = (Arc::clone(tools), wanted.clone());
    blocking(move || {
        let (digest, size) = (wanted.content.digest, wanted.content.size);
        let Some(found) = tools.cache.find(&wanted.place, &digest, size) else {
            return Ok(None);
        };
        tools.area.remove(&digest)?;
        let taken = take(&found, &tools.area.path(&digest), digest, size);
        match &taken {
            Some(_) => tracing::info!(file = wanted.place.path, "taken from the hub's cache"),
            None => tools.area.remove(&digest)?,
        }
        Ok(taken)
    })
    .await
}

/// A second name for the same bytes where the file system has that, or else a copy. What cannot
/// be had like this is fetched.
fn take(found: &Path, target: &PathBuf, digest: Digest, size: u64) -> Option<String> {
    if fs::hard_link(found, target).is_err() {
        fs::copy(found, target).ok()?;
        fs::File::options()
            .write(true)
            .open(target)
            .ok()?
            .sync_all()
            .ok()?;
    }
    let mut hasher = Hasher::new(digest, size);
    hasher.read_to(target, size).ok()?;
    hasher.finish()
}
