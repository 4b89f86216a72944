//! Telling requests without an end that the address they came by is served no more.

use tokio_util::sync::CancellationToken;

/// Travels with a request.
#[derive(Clone, Debug)]
pub(in crate::http) struct Moved(CancellationToken);

impl Moved {
    pub(super) const fn new(token: CancellationToken) -> Self {
        Self(token)
    }

    /// Resolves when the address was given up while the daemon goes on.
    pub(in crate::http) fn told(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.clone().cancelled_owned()
    }
}
