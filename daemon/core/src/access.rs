//! Who calls over HTTP, and what they may do.

use std::fmt;

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
