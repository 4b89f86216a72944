//! What is here before anything is asked of the hub.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use airunner_core::Fault;
use tokio_util::sync::CancellationToken;

use super::chunks::Chunks;
use super::hash::Hasher;
use super::part::Part;
use super::{Tools, Wanted};
use crate::downloads::blocking::blocking;
use crate::downloads::claims::Claim;
use crate::downloads::digest::Digest;
use crate::storage::ContentRecord;

/// Opens a content: as far as it is here, taken out of the hub's cache, or empty.
pub(super) async fn prepare(
    tools: &Arc<Tools>,
    wanted: Wanted,
    claim: Claim,
    cancel: &CancellationToken,
) -> Result<Part, Fault> {
    let (digest, size) = (wanted.content.digest, wanted.content.size);
    let record = known(tools, digest, size).await?;
    let file = tools.area.path(&digest);
    if record.chunks.is_empty()
        && let Some(sha256) = reuse(tools, &wanted, cancel).await?
    {
        let mut part = Part::new(wanted, file, full(size), false, claim);
        remember(tools, &part, &sha256).await?;
        part.sha256 = Some(sha256);
        part.claim = None;
        return Ok(part);
    }
    check_room(tools, digest, size)?;
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

/// A file that cannot be held is not begun. What else has to fit is looked at when all is known.
fn check_room(tools: &Tools, digest: Digest, size: u64) -> Result<(), Fault> {
    match tools.area.room() {
        Some(room) if room < size && !tools.area.holds(&digest, size) => {
            Err(super::no_room(tools, size, room))
        }
        Some(_) | None => Ok(()),
    }
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
async fn reuse(
    tools: &Arc<Tools>,
    wanted: &Wanted,
    cancel: &CancellationToken,
) -> Result<Option<String>, Fault> {
    let (tools, wanted, cancel) = (Arc::clone(tools), wanted.clone(), cancel.clone());
    blocking(move || {
        let (digest, size) = (wanted.content.digest, wanted.content.size);
        let Some(found) = tools.cache.find(&wanted.place, &digest, size) else {
            return Ok(None);
        };
        tools.area.remove(&digest)?;
        let taken = take(&found, &tools.area.path(&digest), digest, size, &cancel);
        match &taken {
            Some(_) => tracing::info!(file = wanted.place.path, "taken from the hub's cache"),
            None => tools.area.remove(&digest)?,
        }
        if cancel.is_cancelled() {
            return Err(super::stopped());
        }
        Ok(taken)
    })
    .await
}

/// A second name for the same bytes where the file system has that, or else a copy. What cannot
/// be had like this is fetched.
fn take(
    found: &Path,
    target: &Path,
    digest: Digest,
    size: u64,
    cancel: &CancellationToken,
) -> Option<String> {
    if fs::hard_link(found, target).is_err() {
        copy(found, target, cancel).ok()?;
    }
    let mut hasher = Hasher::new(digest, size);
    while hasher.at() < size {
        if cancel.is_cancelled() {
            return None;
        }
        let end = size.min(hasher.at() + Hasher::STEP);
        hasher.read_to(target, end).ok()?;
    }
    hasher.finish()
}

fn copy(found: &Path, target: &Path, cancel: &CancellationToken) -> io::Result<()> {
    let mut from = fs::File::open(found)?;
    let mut to = fs::File::create_new(target)?;
    loop {
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if io::copy(&mut (&mut from).take(Hasher::STEP), &mut to)? == 0 {
            return to.sync_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::downloads::area::Area;
    use crate::downloads::bandwidth::Bandwidth;
    use crate::downloads::claims::Claims;
    use crate::downloads::hub::{Content, Hub, HubCache, HubOptions, Place, Repository};
    use crate::storage::Storage;

    const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    fn tools(home: &Path) -> Arc<Tools> {
        let options = HubOptions {
            endpoint: "https://hub.example".to_owned(),
            token: None,
            allow_private_addresses: false,
            offline: true,
        };
        Arc::new(Tools {
            hub: Hub::new(&options).unwrap(),
            cache: HubCache::new(None),
            area: Area::open(home.join("downloads"), &HashSet::new()).unwrap(),
            storage: Storage::open(&home.join("test.db")).unwrap(),
            bandwidth: Bandwidth::new(None),
            claims: Claims::default(),
            connections: Semaphore::new(1),
            limit: 1,
            checks: Semaphore::new(1),
            ending: CancellationToken::new(),
        })
    }

    fn hello() -> Wanted {
        let place = Place {
            repository: Repository::parse("team/tiny").unwrap(),
            commit: "0123".to_owned(),
            path: "config.json".to_owned(),
        };
        let digest = Digest::from_hex(HELLO).unwrap();
        let content = Content { size: 6, digest };
        Wanted { place, content }
    }

    #[tokio::test]
    async fn a_record_without_its_file_is_not_believed_even_after_a_crash() {
        let home = tempfile::tempdir().unwrap();
        let tools = tools(home.path());
        let digest = hello().content.digest;
        let record = ContentRecord {
            chunks: vec![1],
            sha256: Some(HELLO.to_owned()),
            refetched: false,
        };
        tools
            .storage
            .put_content(digest.to_string(), record)
            .await
            .unwrap();
        for attempt in 0..2 {
            let claim = tools.claims.try_claim(digest).unwrap();
            let cancel = CancellationToken::new();
            let part = prepare(&tools, hello(), claim, &cancel).await.unwrap();
            assert_eq!((part.sha256, part.chunks.bytes()), (None, 0), "attempt {attempt}");
        }
    }

    #[test]
    fn what_is_stopped_is_not_copied() {
        let home = tempfile::tempdir().unwrap();
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        fs::write(&from, "hello\n").unwrap();
        let cancel = CancellationToken::new();
        copy(&from, &to, &cancel).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"hello\n");
        let digest = Digest::from_hex(HELLO).unwrap();
        let other = home.path().join("other");
        assert!(take(&from, &other, digest, 6, &cancel).is_some());
        cancel.cancel();
        assert!(take(&from, &home.path().join("stopped"), digest, 6, &cancel).is_none());
        assert!(copy(&from, &home.path().join("cut"), &cancel).is_err());
    }
}
