//! The client of a hub, such as that of Hugging Face.
//!
//! Owns what is asked of other machines, and of which: credentials go to the configured host and
//! nowhere else, private addresses are not talked to, names and sizes are checked, and no answer
//! is read beyond what was declared. Knows nothing of downloads.

mod address;
mod cache;
mod error;
mod listing;
mod names;
mod request;
mod resolver;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};

pub(crate) use cache::HubCache;
pub(crate) use error::HubError;
pub(crate) use listing::{Content, Listing, RemoteFile};
pub(crate) use names::{Repository, check_revision};

use crate::downloads::digest::Digest;
use address::Policy;
use request::{Answer, STALLED};
use resolver::Resolver;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A list of files that takes longer is asked for again.
const LISTING_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the end of an answer is waited for when all of its bytes are here.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the hub is and how to talk to it.
#[derive(Clone)]
pub struct HubOptions {
    /// Such as `https://huggingface.co`.
    pub endpoint: String,
    /// A secret.
    pub token: Option<String>,
    pub allow_private_addresses: bool,
    /// Ask nothing of anybody.
    pub offline: bool,
}

impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "set"))
            .field("allow_private_addresses", &self.allow_private_addresses)
            .field("offline", &self.offline)
            .finish()
    }
}

/// The hub as it is configured.
pub(crate) struct Hub {
    /// Without one, such as on a machine without certificates, only what needs it fails.
    client: Result<reqwest::Client, String>,
    endpoint: Url,
    policy: Arc<Policy>,
    token: Option<HeaderValue>,
    offline: bool,
}

/// One file at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) repository: Repository,
    pub(crate) commit: String,
    pub(crate) path: String,
}

impl Hub {
    pub(crate) fn new(options: &HubOptions) -> Result<Self, HubError> {
        let wrong = || HubError::Endpoint(options.endpoint.clone());
        let endpoint = Url::parse(&options.endpoint).map_err(|_| wrong())?;
        if endpoint.cannot_be_a_base() || endpoint.host_str().is_none() {
            return Err(wrong());
        }
        // Whoever was first has installed the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let policy = Arc::new(Policy::new(&endpoint, options.allow_private_addresses));
        let resolver = Resolver {
            policy: Arc::clone(&policy),
        };
        let client = reqwest::Client::builder()
            .user_agent(concat!("airunner/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // A proxy would connect on our behalf, and not check where to.
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(STALLED)
            .tcp_nodelay(true)
            .dns_resolver(Arc::new(resolver))
            .build()
            .map_err(|error| {
                let problem = airunner_core::error::chain(&error);
                tracing::warn!(problem, "nothing can be downloaded");
                problem
            });
        Ok(Self {
            client,
            endpoint,
            policy,
            token: options.token.as_deref().and_then(credentials),
            offline: options.offline,
        })
    }

    pub(crate) const fn is_offline(&self) -> bool {
        self.offline
    }

    /// What a repository holds.
    pub(crate) async fn listing(&self, repository: &Repository, revision: &str) -> Result<Listing, HubError> {
        let [owner, name] = repository.parts();
        let mut url = self.address(&["api", "models", owner, name, "revision", revision])?;
        url.set_query(Some("blobs=true"));
        let what = format!("{repository} ({revision})");
        let answer = self.ask(Method::GET, &url, None, &what).await?;
        let host = answer.host.clone();
        let text = tokio::time::timeout(LISTING_TIMEOUT, read_all(answer, repository))
            .await
            .map_err(|_| HubError::Slow {
                host,
                limit: LISTING_TIMEOUT,
            })??;
        Listing::parse(repository, &text)
    }

    /// Size and digest of a file of which the listing does not tell.
    pub(crate) async fn describe(&self, place: &Place) -> Result<Content, HubError> {
        let answer = self
            .ask(Method::HEAD, &self.file_address(place)?, None, &place.path)
            .await?;
        check_commit(&answer, place)?;
        let number = |headers: &HeaderMap, name: &str| text(headers, name)?.parse().ok();
        let size = number(&answer.first, "x-linked-size")
            .or_else(|| number(answer.response.headers(), header::CONTENT_LENGTH.as_str()));
        let tag = text(&answer.first, "x-linked-etag").or_else(|| text(&answer.first, header::ETAG.as_str()));
        let digest = tag.and_then(|tag| Digest::from_hex(tag.trim_start_matches("W/").trim_matches('"')));
        match (size, digest) {
            (Some(size), Some(digest)) if size <= listing::MAX_FILE => Ok(Content { size, digest }),
            _ => Err(HubError::BadListing {
                repository: place.repository.to_string(),
                problem: format!("it tells no usable size or digest of {}", place.path),
            }),
        }
    }

    /// Begins to read a file of `size` bytes, or a part of it. `known` is where an earlier
    /// request was sent to in the end.
    pub(crate) async fn open(
        &self,
        place: &Place,
        known: Option<&Url>,
        range: &Range<u64>,
        size: u64,
    ) -> Result<Body, HubError> {
        let asked = (*range != (0..size)).then_some(range);
        let answer = match known {
            Some(url) => match self.ask(Method::GET, url, asked, &place.path).await {
                // The signature of the address has run out.
                Err(error) if is_expired(&error) => self.open_anew(place, asked).await?,
                answer => answer?,
            },
            None => self.open_anew(place, asked).await?,
        };
        let whole = answer.response.status() != StatusCode::PARTIAL_CONTENT;
        if whole && asked.is_some() {
            return Err(HubError::NoRanges { host: answer.host });
        }
        let body = Body {
            host: answer.host,
            direct: answer.redirected,
            left: range.end - range.start,
            response: answer.response,
            what: place.path.clone(),
        };
        if whole {
            body.check_length(size)
        } else {
            body.check_range(range, size)
        }
    }

    async fn open_anew(&self, place: &Place, range: Option<&Range<u64>>) -> Result<Answer, HubError> {
        let answer = self
            .ask(Method::GET, &self.file_address(place)?, range, &place.path)
            .await?;
        check_commit(&answer, place)?;
        Ok(answer)
    }

    fn file_address(&self, place: &Place) -> Result<Url, HubError> {
        let [owner, name] = place.repository.parts();
        let parts: Vec<&str> = [owner, name, "resolve", &place.commit]
            .into_iter()
            .chain(place.path.split('/'))
            .collect();
        self.address(&parts)
    }

    /// Below the endpoint; each part becomes one component, whatever it holds.
    fn address(&self, parts: &[&str]) -> Result<Url, HubError> {
        let mut url = self.endpoint.clone();
        url.path_segments_mut()
            .map_err(|()| HubError::Endpoint(self.endpoint.to_string()))?
            .pop_if_empty()
            .extend(parts);
        Ok(url)
    }
}

/// The bytes of a file as they come.
pub(crate) struct Body {
    host: String,
    /// Where the hub had this sent from; good for a while.
    pub(crate) direct: Option<Url>,
    response: reqwest::Response,
    left: u64,
    what: String,
}

impl Body {
    /// Appends the next bytes and says how many; 0 when everything that was declared is here.
    /// What comes after that is not read.
    pub(crate) async fn read(&mut self, into: &mut Vec<u8>) -> Result<usize, HubError> {
        while self.left > 0 {
            let Some(bytes) = self.frame().await? else {
                return Err(HubError::Broken {
                    host: self.host.clone(),
                    source: None,
                });
            };
            let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            if wanted < bytes.len() {
                self.report_surplus();
            }
            self.left -= wanted as u64;
            into.extend_from_slice(&bytes[..wanted]);
            if wanted > 0 {
                return Ok(wanted);
            }
        }
        Ok(0)
    }

    /// Reads the end, so that the connection can be used again. An answer without an end is cut.
    pub(crate) async fn finish(mut self) {
        match tokio::time::timeout(END_TIMEOUT, self.frame()).await {
            Ok(Ok(None) | Err(_)) => {}
            Ok(Ok(Some(_))) | Err(_) => self.report_surplus(),
        }
    }

    async fn frame(&mut self) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, HubError> {
        let host = &self.host;
        self.response.chunk().await.map_err(|error| {
            let host = host.clone();
            if error.is_timeout() {
                HubError::Stalled { host, after: STALLED }
            } else {
                HubError::Broken {
                    host,
                    source: Some(error.without_url()),
                }
            }
        })
    }

    fn report_surplus(&self) {
        tracing::warn!(
            host = self.host,
            file = self.what,
            "the hub sends more than it declared: the rest is not read"
        );
    }

    fn check_length(self, size: u64) -> Result<Self, HubError> {
        match self.response.content_length() {
            Some(length) if length != size => Err(self.wrong(size.to_string(), length.to_string())),
            Some(_) | None => Ok(self),
        }
    }

    fn check_range(self, range: &Range<u64>, size: u64) -> Result<Self, HubError> {
        let declared = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        let found = text(self.response.headers(), header::CONTENT_RANGE.as_str()).unwrap_or_default();
        if found == declared {
            return Ok(self);
        }
        let found: String = found.chars().take(80).collect();
        Err(self.wrong(declared, found))
    }

    fn wrong(self, declared: String, found: String) -> HubError {
        HubError::WrongLength {
            host: self.host,
            what: self.what,
            declared,
            found,
        }
    }
}

async fn read_all(mut answer: Answer, repository: &Repository) -> Result<Vec<u8>, HubError> {
    let bad = || HubError::BadListing {
        repository: repository.to_string(),
        problem: format!("it is longer than {} bytes", listing::MAX_BYTES),
    };
    let mut text = Vec::new();
    let broken = |error: reqwest::Error| HubError::Broken {
        host: answer.host.clone(),
        source: Some(error.without_url()),
    };
    while let Some(bytes) = answer.response.chunk().await.map_err(&broken)? {
        if text.len() + bytes.len() > listing::MAX_BYTES {
            return Err(bad());
        }
        text.extend_from_slice(&bytes);
    }
    Ok(text)
}

/// What the hub gives must be of the commit that was asked for.
fn check_commit(answer: &Answer, place: &Place) -> Result<(), HubError> {
    match text(&answer.first, "x-repo-commit") {
        Some(commit) if commit != place.commit => Err(HubError::WrongLength {
            host: answer.host.clone(),
            what: place.path.clone(),
            declared: format!("commit {}", place.commit),
            found: format!("commit {}", commit.chars().take(40).collect::<String>()),
        }),
        Some(_) | None => Ok(()),
    }
}

/// An address that is good for a while only answers like this when the while is over.
fn is_expired(error: &HubError) -> bool {
    matches!(
        error,
        HubError::Forbidden { .. }
            | HubError::Unauthenticated { .. }
            | HubError::NotFound { .. }
            | HubError::Status { .. }
            | HubError::BadRedirect { .. }
    )
}

fn credentials(token: &str) -> Option<HeaderValue> {
    match HeaderValue::from_str(&format!("Bearer {}", token.trim())) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Some(value)
        }
        Err(_) => {
            tracing::warn!("the token of the hub has characters that no token has: it is not used");
            None
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
