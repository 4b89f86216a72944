//! Whose turn comes first.

/// Class of a request. A higher class is served first, but no class waits for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Nobody watches: preloading, jobs.
    Background,
    /// A program.
    #[default]
    Api,
    /// A person waits.
    Interactive,
}

impl Priority {
    pub const ALL: [Self; 3] = [Self::Background, Self::Api, Self::Interactive];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Api => "api",
            Self::Interactive => "interactive",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == text)
    }
}
