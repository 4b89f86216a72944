//! Who calls over HTTP, and what they may do.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::Fault;

/// What a key is good for. Each is a right of its own; [`Admin`](Self::Admin) includes all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Ask models, and see and change what belongs to the own conversations.
    Inference,
    /// Load, unload, fetch, remove models, and see memory and hardware.
    Models,
    /// Everything.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Inference, Self::Models, Self::Admin];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Models => "models",
            Self::Admin => "admin",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The number of a key; counted up, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub u64);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Longest name of a key, bytes.
pub const KEY_NAME_MAX: usize = 64;
/// Shortest and longest life of a key that expires.
pub const KEY_LIFE: (Duration, Duration) = (
    Duration::from_secs(1),
    Duration::from_secs(100 * 365 * 24 * 60 * 60),
);

/// A key as it is listed. The key itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub id: KeyId,
    /// Of the keys that are not revoked, each has another one.
    pub name: String,
    /// What the key begins with.
    pub prefix: String,
    pub scopes: Vec<Scope>,
    pub created_at: SystemTime,
    pub expires_at: Option<SystemTime>,
    pub last_used_at: Option<SystemTime>,
    pub revoked_at: Option<SystemTime>,
}

/// Whether a key opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Active,
    Expired,
    Revoked,
}

impl KeyState {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Key {
    #[must_use]
    pub fn state(&self, now: SystemTime) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }
}

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// `None`: it does not expire.
    pub expires_after: Option<Duration>,
}

impl NewKey {
    /// Refuses what could not be told apart, listed or used.
    pub fn check(&self) -> Result<(), Fault> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.name.is_empty() || self.name.len() > KEY_NAME_MAX || !self.name.chars().all(fits) {
            return Err(Fault::invalid(format!(
                "name is not one of a key: use 1 to {KEY_NAME_MAX} letters, digits, dots, dashes or underscores"
            )));
        }
        if self.scopes.is_empty() {
            return Err(Fault::invalid("scopes is empty: give inference, models or admin"));
        }
        let (low, high) = KEY_LIFE;
        if self.expires_after.is_some_and(|time| time < low || time > high) {
            return Err(Fault::invalid(
                "expires_after is out of range: use from 1 second to 100 years, or leave it out",
            ));
        }
        Ok(())
    }
}

/// A text that must not be shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for whom it is meant.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A key that was just made, and the only time that it is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedKey {
    pub key: Key,
    pub secret: Secret,
}

/// What the audit log is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditEvent {
    KeyCreated,
    KeyRevoked,
    /// The token of the local user was made anew.
    TokenMade,
    /// An address was taken.
    Bound,
    /// An address was not taken, because it would not have been safe.
    BindRefused,
    /// A request was refused.
    Refused,
}

impl AuditEvent {
    pub const ALL: [Self; 6] = [
        Self::KeyCreated,
        Self::KeyRevoked,
        Self::TokenMade,
        Self::Bound,
        Self::BindRefused,
        Self::Refused,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCreated => "key_created",
            Self::KeyRevoked => "key_revoked",
            Self::TokenMade => "token_made",
            Self::Bound => "bound",
            Self::BindRefused => "bind_refused",
            Self::Refused => "refused",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: SystemTime,
    pub event: AuditEvent,
    /// The key it is about, if it is known.
    pub key_name: Option<String>,
    /// Where it came from, or what was to be bound.
    pub address: Option<String>,
    /// For a person; never a key, a prompt or a query.
    pub detail: String,
}

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `None`: the user of this machine, who has all rights.
    pub key: Option<KeyId>,
    /// For a person.
    pub name: String,
    pub scopes: Vec<Scope>,
}

impl Caller {
    /// The user of this machine.
    #[must_use]
    pub fn local() -> Self {
        Self {
            key: None,
            name: "local".to_owned(),
            scopes: vec![Scope::Admin],
        }
    }

    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Whether what belongs to `owner` is shown to this caller: the own, and to those with all
    /// rights everything.
    #[must_use]
    pub fn sees(&self, owner: Option<KeyId>) -> bool {
        self.key == owner || self.may(Scope::Admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_good_until_it_expires_or_is_revoked() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut key = Key {
            id: KeyId(1),
            name: "phone".to_owned(),
            prefix: "air_x".to_owned(),
            scopes: vec![Scope::Inference],
            created_at: at(1),
            expires_at: Some(at(10)),
            last_used_at: None,
            revoked_at: None,
        };
        assert_eq!(key.state(at(9)), KeyState::Active);
        assert_eq!(key.state(at(10)), KeyState::Expired);
        key.revoked_at = Some(at(5));
        assert_eq!(key.state(at(4)), KeyState::Revoked);
    }

    #[test]
    fn what_makes_no_sense_is_no_key() {
        let good = NewKey {
            name: "my-phone_2.0".to_owned(),
            scopes: vec![Scope::Inference],
            expires_after: Some(Duration::from_secs(1)),
        };
        good.check().unwrap();
        for name in ["", "a b", "é", "a\n", &"x".repeat(65)] {
            let bad = NewKey {
                name: name.to_owned(),
                ..good.clone()
            };
            assert!(bad.check().is_err(), "{name:?}");
        }
        let none = NewKey {
            scopes: Vec::new(),
            ..good.clone()
        };
        assert!(none.check().is_err());
        for life in [Duration::ZERO, Duration::MAX] {
            let bad = NewKey {
                expires_after: Some(life),
                ..good.clone()
            };
            assert!(bad.check().is_err());
        }
    }

    #[test]
    fn a_secret_is_not_shown_by_accident() {
        let secret = Secret::new("air_abc".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(secret.reveal(), "air_abc");
    }

    #[test]
    fn rights_are_apart_and_admin_has_all() {
        let phone = Caller {
            key: Some(KeyId(3)),
            name: "phone".to_owned(),
            scopes: vec![Scope::Inference],
        };
        assert!(phone.may(Scope::Inference) && !phone.may(Scope::Models) && !phone.may(Scope::Admin));
        assert!(phone.sees(Some(KeyId(3))) && !phone.sees(Some(KeyId(4))) && !phone.sees(None));
        for scope in Scope::ALL {
            assert!(Caller::local().may(scope));
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        assert!(Caller::local().sees(Some(KeyId(3))));
    }
}
