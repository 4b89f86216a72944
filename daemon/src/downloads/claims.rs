//! Who fetches which content: what two downloads want is fetched by one of them.

use std::collections::HashSet;

use tokio::sync::watch;

use super::digest::Digest;

/// The contents somebody works on.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims(watch::Sender<HashSet<Digest>>);

/// The right to write some content; given up when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    claims: Claims,
    digest: Digest,
}

impl Claims {
    /// `None` if somebody else has it.
    pub(super) fn try_claim(&self, digest: Digest) -> Option<Claim> {
        let is_new = self.0.send_if_modified(|claimed| claimed.insert(digest));
        is_new.then(|| Claim {
            claims: self.clone(),
            digest,
        })
    }

    /// Returns when nobody has it; somebody may have it again at once.
    pub(super) async fn released(&self, digest: Digest) {
        let mut claimed = self.0.subscribe();
        // The sender is here, so this cannot fail.
        drop(claimed.wait_for(|claimed| !claimed.contains(&digest)).await);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.send_modify(|claimed| {
            claimed.remove(&self.digest);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_has_it_and_the_other_waits() {
        let claims = Claims::default();
        let digest = Digest::from_hex(&"ab".repeat(32)).unwrap();
        let other = Digest::from_hex(&"cd".repeat(32)).unwrap();
        let claim = claims.try_claim(digest).unwrap();
        assert!(claims.try_claim(digest).is_none());
        assert!(claims.try_claim(other).is_some());
        let waits = tokio::spawn({
            let claims = claims.clone();
            async move { claims.released(digest).await }
        });
        assert!(!waits.is_finished());
        drop(claim);
        waits.await.unwrap();
        assert!(claims.try_claim(digest).is_some());
    }
}
