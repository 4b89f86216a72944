//! One connection's work: some chunks of one content, tried again until they are here.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::PathBuf;

use airunner_core::Fault;
use reqwest::Url;
use tokio::sync::mpsc;

use super::Tools;
use super::chunks::CHUNK;
use crate::downloads::area::at;
use crate::downloads::hub::{HubError, Place};
use crate::downloads::retry;

/// Attempts in a row that bring nothing.
const MAX_ATTEMPTS: u32 = 8;

/// What to fetch, and where to.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) id: u64,
    pub(super) part: usize,
    pub(super) place: Place,
    pub(super) file: PathBuf,
    pub(super) size: u64,
    pub(super) chunks: Range<u32>,
    /// The hub sends whole files only: what is not wanted is skipped.
    pub(super) whole: bool,
    /// Where an earlier request was sent to.
    pub(super) direct: Option<Url>,
}

/// What happens on the way.
#[derive(Debug)]
pub(super) enum News {
    /// A chunk is in the file, though not yet on the disk.
    Written { part: usize, chunk: u32 },
    /// It waits and will try again.
    Trouble { span: u64, fault: Fault },
    /// It goes on after trouble.
    Fine { span: u64 },
}

/// Why it was given up.
#[derive(Debug)]
pub(super) enum SpanError {
    /// The hub sends whole files only.
    NoRanges,
    Given(Fault),
}

impl From<Fault> for SpanError {
    fn from(fault: Fault) -> Self {
        Self::Given(fault)
    }
}

/// Where requests may be sent directly, if the hub said so.
pub(super) async fn fetch(
    tools: &Tools,
    mut span: Span,
    news: mpsc::Sender<News>,
) -> Result<Option<Url>, SpanError> {
    let mut attempts = 0;
    let mut troubled = false;
    loop {
        let before = span.chunks.start;
        let error = match attempt(tools, &mut span, &news, troubled).await {
            Ok(()) => return Ok(span.direct),
            Err(Failure::Local(fault)) => return Err(fault.into()),
            Err(Failure::Hub(HubError::NoRanges { .. })) => return Err(SpanError::NoRanges),
            Err(Failure::Hub(error)) if error.is_passing() => error,
            Err(Failure::Hub(error)) => return Err(SpanError::Given(error.into())),
        };
        attempts = if span.chunks.start > before {
            0
        } else {
            attempts + 1
        };
        if attempts >= MAX_ATTEMPTS {
            return Err(SpanError::Given(error.into()));
        }
        let wait = retry::wait(attempts, error.retry_after());
        let fault = Fault::from(error).retry_after(wait);
        tracing::debug!(file = span.place.path, error = %fault, "a part of a file is tried again");
        troubled = true;
        drop(news.send(News::Trouble { span: span.id, fault }).await);
        tokio::time::sleep(wait).await;
    }
}

enum Failure {
    Hub(HubError),
    Local(Fault),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Hub(error)
    }
}

/// Takes what is here off `span.chunks`.
async fn attempt(
    tools: &Tools,
    span: &mut Span,
    news: &mpsc::Sender<News>,
    troubled: bool,
) -> Result<(), Failure> {
    let at_chunk = |chunk: u32| (u64::from(chunk) * CHUNK).min(span.size);
    let (start, end) = (at_chunk(span.chunks.start), at_chunk(span.chunks.end));
    let range = if span.whole { 0..span.size } else { start..end };
    let _permit = tools.connections.acquire().await;
    let mut body = tools
        .hub
        .open(&span.place, span.direct.as_ref(), &range, span.size)
        .await?;
    if body.direct.is_some() {
        span.direct.clone_from(&body.direct);
    }
    let mut sink = Sink::open(span, start)?;
    let mut buffer = Vec::new();
    let mut skip = start - range.start;
    let mut told = !troubled;
    while span.chunks.start < span.chunks.end {
        let count = body.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        if !told {
            told = true;
            drop(news.send(News::Fine { span: span.id }).await);
        }
        tools.bandwidth.take(count).await;
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(buffer.len());
        buffer.drain(..skipped);
        skip -= skipped as u64;
        while let Some(length) = sink.next_chunk(span.chunks.start, buffer.len()) {
            let rest = buffer.split_off(length);
            sink = sink.write(buffer).await.map_err(Failure::Local)?;
            buffer = rest;
            let chunk = span.chunks.start;
            span.chunks.start += 1;
            drop(
                news.send(News::Written {
                    part: span.part,
                    chunk,
                })
                .await,
            );
            if span.chunks.start == span.chunks.end {
                break;
            }
        }
    }
    if span.whole && span.chunks.is_empty() && end < span.size {
        // The rest of the file is not wanted.
        return Ok(());
    }
    body.finish().await;
    Ok(())
}

/// The file that is written to, from one place on.
struct Sink {
    file: File,
    path: PathBuf,
    size: u64,
}

impl Sink {
    fn open(span: &Span, start: u64) -> Result<Self, Failure> {
        let open = || {
            let mut file = File::options().write(true).open(&span.file)?;
            file.seek(SeekFrom::Start(start))?;
            Ok(file)
        };
        let file = open().map_err(|error| Failure::Local(at("open", &span.file)(error)))?;
        Ok(Self {
            file,
            path: span.file.clone(),
            size: span.size,
        })
    }

    /// The length of a chunk, if so many bytes are enough for it.
    fn next_chunk(&self, chunk: u32, bytes: usize) -> Option<usize> {
        let start = u64::from(chunk) * CHUNK;
        let length = usize::try_from((start + CHUNK).min(self.size).checked_sub(start)?).ok()?;
        (length > 0 && bytes >= length).then_some(length)
    }

    async fn write(mut self, bytes: Vec<u8>) -> Result<Self, Fault> {
        let write = move || match self.file.write_all(&bytes) {
            Ok(()) => Ok(self),
            Err(error) => Err(at("write", &self.path)(error)),
        };
        tokio::task::spawn_blocking(write)
            .await
            .unwrap_or_else(|error| Err(Fault::internal(format!("writing failed: {error}"))))
    }
}
