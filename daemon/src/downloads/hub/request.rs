//! One request, its redirects followed by hand: every hop is checked, and what belongs to the
//! hub is said to nobody else.

use std::ops::Range;
use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use reqwest::{Method, Response, StatusCode, Url};

use super::Hub;
use super::address::PRIVATE;
use super::error::HubError;
use super::resolver::OnlyPrivate;

const MAX_REDIRECTS: usize = 5;
/// A hub that sends nothing for so long is asked again.
pub(super) const STALLED: Duration = Duration::from_secs(30);
/// The longest a hub may send the daemon away.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// An answer that is not an error.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) host: String,
    /// The address it came from in the end, if that is another one.
    pub(super) redirected: Option<Url>,
    /// What the hub itself said of the file, whoever sends it.
    pub(super) first: HeaderMap,
}

impl Hub {
    /// `what` is for messages.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: &Url,
        range: Option<&Range<u64>>,
        what: &str,
    ) -> Result<Answer, HubError> {
        let mut url = url.clone();
        let mut first = None;
        for hop in 0..=MAX_REDIRECTS {
            let response = self.ask_once(&method, &url, range).await?;
            let first = first.get_or_insert_with(|| response.headers().clone());
            if !is_redirect(response.status()) {
                let host = host_of(&url);
                check_status(&response, &host, what)?;
                return Ok(Answer {
                    response,
                    host,
                    redirected: (hop > 0).then_some(url),
                    first: std::mem::take(first),
                });
            }
            url = target(&url, &response)?;
        }
        Err(HubError::TooManyRedirects {
            host: host_of(&url),
            limit: MAX_REDIRECTS,
        })
    }

    async fn ask_once(
        &self,
        method: &Method,
        url: &Url,
        range: Option<&Range<u64>>,
    ) -> Result<Response, HubError> {
        if self.offline {
            return Err(HubError::Offline);
        }
        self.policy.check(url)?;
        let may_know_token = self.policy.may_know_token(url).await?;
        let host = host_of(url);
        let client = self
            .client
            .as_ref()
            .map_err(|problem| HubError::Client(problem.clone()))?;
        let mut request = client
            .request(method.clone(), url.clone())
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            request = request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        }
        if let Some(token) = self.token.as_ref().filter(|_| may_know_token && self.is_own(url)) {
            request = request.header(header::AUTHORIZATION, token.clone());
        }
        let response = tokio::time::timeout(STALLED, request.send())
            .await
            .map_err(|_| HubError::Stalled {
                host: host.clone(),
                after: STALLED,
            })?
            .map_err(|error| unreachable(&host, error))?;
        // The resolver sees to this; an address that came in another way ends here.
        if let Some(address) = response.remote_addr() {
            self.policy.check_answer(url, address.ip())?;
        }
        Ok(response)
    }

    /// True for the very host that the user configured.
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }
}

fn unreachable(host: &str, error: reqwest::Error) -> HubError {
    let host = host.to_owned();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if error.is::<OnlyPrivate>() {
            return HubError::Refused { host, why: PRIVATE };
        }
        cause = error.source();
    }
    HubError::Unreachable {
        host,
        // Addresses of content networks are signed: whoever reads them may use them.
        source: error.without_url(),
    }
}

pub(super) fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

const fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn target(url: &Url, response: &Response) -> Result<Url, HubError> {
    response
        .headers()
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| url.join(location).ok())
        .ok_or_else(|| HubError::BadRedirect { host: host_of(url) })
}

fn check_status(response: &Response, host: &str, what: &str) -> Result<(), HubError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let (host, what) = (host.to_owned(), what.to_owned());
    let code = response
        .headers()
        .get("x-error-code")
        .and_then(|code| code.to_str().ok())
        .unwrap_or_default();
    Err(match (status.as_u16(), code) {
        (_, "RepoNotFound") => HubError::NotFound {
            host,
            what,
            hint: "; if it is private, put your token into HF_TOKEN",
        },
        (_, "GatedRepo") | (403, _) => HubError::Forbidden { host, what },
        (401, _) => HubError::Unauthenticated { host, what },
        (404, "RevisionNotFound") => HubError::NotFound {
            host,
            what,
            hint: " in this revision",
        },
        (404 | 410, _) => HubError::NotFound { host, what, hint: "" },
        (status @ (408 | 429 | 500..=599), _) => HubError::Overloaded {
            host,
            status,
            retry_after: retry_after(response.headers()),
        },
        (status, _) => HubError::Status { host, status, what },
    })
}

/// Seconds or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(at.duration_since(jiff::Timestamp::now())).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_says_when_to_come_back_in_two_ways() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("99999999"), Some(LONGEST_WAIT));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("Mon, 21 Oct 2115 07:28:00 GMT"), Some(LONGEST_WAIT));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }
}
