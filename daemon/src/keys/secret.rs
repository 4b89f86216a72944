//! Making and recognising keys.

use airunner_core::Fault;
use airunner_core::access::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Bytes of chance in a key.
const BYTES: usize = 32;
/// Characters they take.
const CHARACTERS: usize = 43;
/// Of the key itself, in its prefix.
const SHOWN: usize = 8;

pub(super) const KEY: &str = "air_";
pub(super) const LOCAL: &str = "air_local_";

/// Draws a key that begins with `mark`.
pub(super) fn draw(mark: &str) -> Result<Secret, Fault> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Fault::internal(format!("the system gives no random numbers: {error}")))?;
    Ok(Secret::new(format!("{mark}{}", URL_SAFE_NO_PAD.encode(bytes))))
}

/// Whether a text has the form of what [`draw`] makes.
pub(super) fn is_well_formed(text: &str, mark: &str) -> bool {
    text.strip_prefix(mark).is_some_and(|rest| {
        rest.len() == CHARACTERS
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

/// What may be shown of a key, so that its owner can tell it from others.
pub(super) fn prefix(secret: &Secret) -> String {
    secret.reveal().chars().take(KEY.len() + SHOWN).collect()
}

pub(super) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Takes as long for any two.
pub(super) fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_long_and_never_the_same() {
        let (one, other) = (draw(KEY).unwrap(), draw(KEY).unwrap());
        assert!(is_well_formed(one.reveal(), KEY) && one.reveal().len() == 47);
        assert_ne!(one, other);
        assert!(one.reveal().starts_with(&prefix(&one)) && prefix(&one).len() == 12);
        assert!(!same(&hash(one.reveal()), &hash(other.reveal())));
        assert!(same(&hash(one.reveal()), &hash(one.reveal())));
    }

    #[test]
    fn other_texts_are_no_keys() {
        for bad in ["", "air_", "air_local_", "air_local_short"] {
            assert!(!is_well_formed(bad, LOCAL), "{bad}");
        }
        let foreign = format!("{LOCAL}{}é", "x".repeat(41));
        assert!(!is_well_formed(&foreign, LOCAL));
    }
}
