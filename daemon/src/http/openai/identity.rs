//! Names and times of answers.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use airunner_core::Fault;

/// Bytes of chance in a name.
const CHANCE: usize = 18;

/// A name nobody can guess, such as `chatcmpl-…`.
pub(super) fn unique(prefix: &str) -> Result<String, Fault> {
    let mut bytes = [0_u8; CHANCE];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| Fault::internal("the system gives no random numbers"))?;
    let mut name = prefix.to_owned();
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name)
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// What computed an answer; the same request gives the same text as long as it is the same.
pub(super) const FINGERPRINT: &str = concat!("airunner-", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_long_and_differ() {
        let (first, second) = (unique("resp_").unwrap(), unique("resp_").unwrap());
        assert!(first.starts_with("resp_") && first.len() == 5 + 2 * CHANCE);
        assert_ne!(first, second);
    }
}
