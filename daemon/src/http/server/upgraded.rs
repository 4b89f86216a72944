//! Connections that became WebSockets, which no longer count as connections of HTTP.

use std::sync::Arc;

use tokio::sync::watch;

/// Knows how many are open.
#[derive(Clone, Default)]
pub(in crate::http) struct Upgraded(Arc<watch::Sender<()>>);

/// One that is open, until it is dropped.
pub(in crate::http) struct Held {
    _receiver: watch::Receiver<()>,
}

impl Upgraded {
    pub(in crate::http) fn hold(&self) -> Held {
        Held {
            _receiver: self.0.subscribe(),
        }
    }

    /// Resolves when none is open.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn none_is_left_when_all_are_dropped() {
        let upgraded = Upgraded::default();
        assert!(upgraded.gone().now_or_never().is_some());
        let held = [upgraded.hold(), upgraded.clone().hold()];
        for one in held {
            assert!(upgraded.gone().now_or_never().is_none());
            drop(one);
        }
        assert!(upgraded.gone().now_or_never().is_some());
    }
}
