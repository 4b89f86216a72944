//! What can go wrong with a hub.

use std::time::Duration;

use airunner_core::{ErrorKind, Fault, error};

#[derive(Debug, thiserror::Error)]
pub(crate) enum HubError {
    #[error(
        "the network is switched off (downloads.offline or HF_HUB_OFFLINE): switch it on to fetch models"
    )]
    Offline,
    #[error("{0} is not the address of a hub: it must look like https://huggingface.co")]
    Endpoint(String),
    #[error("nothing can be downloaded on this machine: {0}")]
    Client(String),
    #[error("{host} is not asked: {why}")]
    Refused { host: String, why: &'static str },
    #[error("{host} cannot be reached")]
    Unreachable { host: String, source: reqwest::Error },
    #[error("{host} has sent nothing for {} seconds", after.as_secs())]
    Stalled { host: String, after: Duration },
    #[error("{host} has not sent its list of files within {} seconds", limit.as_secs())]
    Slow { host: String, limit: Duration },
    #[error("the connection to {host} broke")]
    Broken {
        host: String,
        #[source]
        source: Option<reqwest::Error>,
    },
    #[error("{host} answers with {status}")]
    Overloaded {
        host: String,
        status: u16,
        retry_after: Option<Duration>,
    },
    #[error("{host} answers with {status} to a request for {what}")]
    Status { host: String, status: u16, what: String },
    #[error("{what} was not found on {host}{hint}")]
    NotFound {
        host: String,
        what: String,
        hint: &'static str,
    },
    #[error("{host} wants to know who asks for {what}: put a token into HF_TOKEN")]
    Unauthenticated { host: String, what: String },
    #[error(
        "{host} does not give {what} to you: open its page, accept the licence there if it asks for that, and put \
         your token into HF_TOKEN"
    )]
    Forbidden { host: String, what: String },
    #[error("{host} redirects more than {limit} times")]
    TooManyRedirects { host: String, limit: usize },
    #[error("{host} redirects to nowhere")]
    BadRedirect { host: String },
    #[error("the list of files of {repository} is not what a hub sends: {problem}")]
    BadListing { repository: String, problem: String },
    #[error("{host} sends {found} of {what}, not the {declared} it declared")]
    WrongLength {
        host: String,
        what: String,
        declared: String,
        found: String,
    },
    #[error("{host} sends no parts of files")]
    NoRanges { host: String },
}

impl HubError {
    /// True if the same request may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Stalled { .. }
            | Self::Slow { .. }
            | Self::Broken { .. }
            | Self::Overloaded { .. }
            | Self::WrongLength { .. } => true,
            Self::Offline
            | Self::Endpoint(_)
            | Self::Client(_)
            | Self::Refused { .. }
            | Self::Status { .. }
            | Self::NotFound { .. }
            | Self::Unauthenticated { .. }
            | Self::Forbidden { .. }
            | Self::TooManyRedirects { .. }
            | Self::BadRedirect { .. }
            | Self::BadListing { .. }
            | Self::NoRanges { .. } => false,
        }
    }

    /// When the hub wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        if let Self::Overloaded { retry_after, .. } = self {
            *retry_after
        } else {
            None
        }
    }
}

impl From<HubError> for Fault {
    fn from(error: HubError) -> Self {
        let kind = match &error {
            HubError::Offline => ErrorKind::Offline,
            HubError::Endpoint(_) => ErrorKind::InvalidConfig,
            HubError::Overloaded { status: 429, .. } => ErrorKind::RateLimited,
            HubError::Unreachable { .. }
            | HubError::Stalled { .. }
            | HubError::Slow { .. }
            | HubError::Broken { .. }
            | HubError::Overloaded { .. }
            | HubError::Status { .. }
            | HubError::TooManyRedirects { .. }
            | HubError::BadRedirect { .. }
            | HubError::NoRanges { .. } => ErrorKind::Unavailable,
            HubError::Refused { .. } | HubError::Forbidden { .. } => ErrorKind::PermissionDenied,
            HubError::NotFound { .. } => ErrorKind::ModelNotFound,
            HubError::Unauthenticated { .. } => ErrorKind::Unauthenticated,
            HubError::BadListing { .. } => ErrorKind::ModelInvalid,
            HubError::WrongLength { .. } => ErrorKind::VerificationFailed,
            HubError::Client(_) => ErrorKind::Internal,
        };
        let fault = Self::new(kind, error::chain(&error));
        match error.retry_after() {
            Some(wait) => fault.retry_after(wait),
            None => fault,
        }
    }
}
