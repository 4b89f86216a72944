//! The wish to end, and how urgent it is.

use tokio_util::sync::CancellationToken;

/// Shared by everything that may ask for the end and everything that ends.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    asked: CancellationToken,
    hurried: CancellationToken,
}

impl Ending {
    /// Asks for an orderly end; asking again changes nothing.
    pub fn ask(&self) {
        self.asked.cancel();
    }

    /// Asks for the end without waiting for requests.
    pub fn hurry(&self) {
        self.asked.cancel();
        self.hurried.cancel();
    }

    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Resolves when the end was asked for.
    pub fn asked(&self) -> impl Future<Output = ()> + Send + use<> {
        self.asked.clone().cancelled_owned()
    }

    /// Resolves when it must not wait for requests.
    pub fn hurried(&self) -> impl Future<Output = ()> + Send + use<> {
        self.hurried.clone().cancelled_owned()
    }
}
