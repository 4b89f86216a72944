//! Models that are known, installed or not.

use std::fmt;

use crate::memory::Quantization;
use crate::name::ModelName;

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Modality {
    Chat,
    Embedding,
    Image,
    SpeechToText,
    TextToSpeech,
}

impl Modality {
    pub const ALL: [Self; 5] = [
        Self::Chat,
        Self::Embedding,
        Self::Image,
        Self::SpeechToText,
        Self::TextToSpeech,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embedding => "embedding",
            Self::Image => "image",
            Self::SpeechToText => "speech_to_text",
            Self::TextToSpeech => "text_to_speech",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|modality| modality.as_str() == text)
    }
}

impl fmt::Display for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A known model.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogEntry {
    pub name: ModelName,
    pub aliases: Vec<String>,
    pub modality: Modality,
    /// One line for a person.
    pub description: String,
    /// Repository of the hub.
    pub repository: String,
    pub revision: String,
    /// SPDX identifier, or the licence's own name.
    pub license: String,
    /// In billions.
    pub parameters_billions: f64,
    /// Tokens; 0 if it has no such thing.
    pub context_length: u32,
    /// With which it runs well, bytes.
    pub recommended_memory_bytes: u64,
    /// True if this very package was loaded and answered as its authors' own code does.
    pub verified: bool,
    /// True if this version of the program can run it.
    pub runnable: bool,
    /// From the user's own catalogue.
    pub from_user: bool,
    pub variants: Vec<CatalogVariant>,
    /// Set if it is installed.
    pub installed: Option<ModelName>,
    /// The variant this machine would take; `None` if none fits.
    pub fits: Option<Quantization>,
}

/// One precision a known model comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogVariant {
    pub level: Quantization,
    /// The graph file, relative to the repository.
    pub file: String,
    /// Bytes to download.
    pub size_bytes: u64,
    /// Memory it would take here with the usual context, bytes.
    pub memory_bytes: u64,
    pub fits: bool,
}
