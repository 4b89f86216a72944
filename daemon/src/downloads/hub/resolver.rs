//! Names into addresses, private ones left out.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::Policy;

/// Only private addresses are behind a name.
#[derive(Debug, thiserror::Error)]
#[error("its name leads to no address outside of private networks")]
pub(super) struct OnlyPrivate;

/// Asks the operating system and hands on what the policy allows. The connection is made to
/// these addresses, so a second answer of the name server changes nothing.
pub(super) struct Resolver {
    pub(super) policy: Arc<Policy>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| policy.allows(&host, address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(OnlyPrivate.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
