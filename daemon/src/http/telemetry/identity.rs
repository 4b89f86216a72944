//! The name of a request.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// How clients of Anthropic know it.
pub(super) const ANTHROPIC_HEADER: HeaderName = HeaderName::from_static("request-id");

/// Longer ones are not taken over.
const LONGEST: usize = 128;

/// The name the caller gave, if it is one, or else a fresh one.
pub(super) fn of(headers: &HeaderMap) -> HeaderValue {
    match headers.get(&HEADER) {
        Some(given) if is_sane(given.as_bytes()) => given.clone(),
        _ => fresh(),
    }
}

/// What can stand in a log and in a header without doing anything there.
fn is_sane(name: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    !name.is_empty() && name.len() <= LONGEST && name.iter().all(plain)
}

/// Not to be guessed is not needed; not to come twice is.
fn fresh() -> HeaderValue {
    let name = format!("req_{:016x}", number());
    HeaderValue::try_from(name).unwrap_or_else(|_| HeaderValue::from_static("req_unknown"))
}

/// Another one with every call and in every process.
pub(super) fn number() -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    KEYS.hash_one(COUNT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_with(name: &str) -> HeaderValue {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(name).unwrap());
        of(&headers)
    }

    #[test]
    fn a_sane_name_is_kept_and_any_other_replaced() {
        assert_eq!(asked_with("abc-123_x.y:z"), "abc-123_x.y:z");
        for bad in ["", "two words", "a\"b", "{}", "é", &"a".repeat(129)] {
            assert!(asked_with(bad).to_str().unwrap().starts_with("req_"), "{bad}");
        }
        assert_ne!(of(&HeaderMap::new()), of(&HeaderMap::new()));
    }
}
