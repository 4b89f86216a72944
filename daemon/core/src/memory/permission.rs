//! Whether something could start now.

use crate::name::ModelName;

/// Why an operation can or cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PermissionReason {
    Ok,
    Loading,
    Unloading,
    /// Somebody is being answered.
    Processing,
    InsufficientMemory,
    NotInstalled,
    /// Somebody has paused the program.
    Paused,
}

impl PermissionReason {
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::Loading,
        Self::Unloading,
        Self::Processing,
        Self::InsufficientMemory,
        Self::NotInstalled,
        Self::Paused,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Loading => "loading",
            Self::Unloading => "unloading",
            Self::Processing => "processing",
            Self::InsufficientMemory => "insufficient_memory",
            Self::NotInstalled => "not_installed",
            Self::Paused => "paused",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// A yes, or a reason with figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    pub can_perform: bool,
    pub reason: PermissionReason,
    /// For a person.
    pub message: String,
    /// Bytes; 0 unless memory is the reason.
    pub required_bytes: u64,
    pub available_bytes: u64,
    pub active_models: Vec<ModelName>,
}

impl Permission {
    #[must_use]
    pub fn yes(active: &[ModelName]) -> Self {
        Self {
            can_perform: true,
            ..Self::no(PermissionReason::Ok, "OK", active)
        }
    }

    #[must_use]
    pub fn no(reason: PermissionReason, message: impl Into<String>, active: &[ModelName]) -> Self {
        Self {
            can_perform: false,
            reason,
            message: message.into(),
            required_bytes: 0,
            available_bytes: 0,
            active_models: active.to_vec(),
        }
    }
}

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionRequest {
    pub kind: crate::model::ModelKind,
    /// `None`: with any model of that kind.
    pub model: Option<ModelName>,
}
