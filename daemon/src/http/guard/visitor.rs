//! Who asks, for those who serve a request longer than it takes to answer.

use std::net::IpAddr;
use std::sync::Arc;

use airunner_core::Fault;
use airunner_core::access::KeyId;

use super::Rules;
use super::rates::neighbourhood;

/// Somebody who was let in. It travels with the request.
#[derive(Clone)]
pub(in crate::http) struct Visitor {
    pub(super) rules: Arc<Rules>,
    pub(super) key: Option<KeyId>,
    pub(super) address: IpAddr,
}

/// Whose share of what there is only so much of is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::http) enum Holder {
    /// The user of this machine.
    Local,
    Key(KeyId),
    Address(IpAddr),
}

impl Visitor {
    /// Counts one more request, of those who ask many times by one.
    pub(in crate::http) fn count(&self) -> Result<(), Fault> {
        let counted = self.rules.rates.key(self.key);
        counted.map(drop).map_err(|exceeded| exceeded.fault)
    }

    /// Resolves once the key is good for nothing any more, with what is to be told.
    pub(in crate::http) fn lost(&self) -> impl Future<Output = Fault> + Send + use<> {
        self.rules.keys.lost(self.key)
    }

    /// In whose names this one takes a share. Programs of this machine share its address, which
    /// says nothing.
    pub(in crate::http) fn holders(&self) -> impl Iterator<Item = Holder> + use<> {
        let own = self.key.map_or(Holder::Local, Holder::Key);
        let address = (!self.address.is_loopback()).then(|| Holder::Address(neighbourhood(self.address)));
        std::iter::once(own).chain(address)
    }
}
