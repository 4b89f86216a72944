//! Models that are known, installed or not.

use std::fmt;

use crate::memory::{Ceiling, Quantization, ladder};
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

/// Beside the weights on disk, a runtime keeps packed copies of some of them.
const PACKING_PERCENT: u64 = 110;
/// The process itself: program, ONNX Runtime, tokenizer.
const OVERHEAD_BYTES: u64 = 200 << 20;

impl CatalogEntry {
    /// True if that is its name, an alias or its repository, however it is spelt.
    #[must_use]
    pub fn answers_to(&self, text: &str) -> bool {
        let wanted = normalized(text);
        let known = [self.name.as_str(), &self.repository];
        let aliases = self.aliases.iter().map(String::as_str);
        !wanted.is_empty()
            && known
                .into_iter()
                .chain(aliases)
                .any(|name| normalized(name) == wanted)
    }

    /// True if every word of the query is in a name, the description, the repository or the
    /// modality.
    #[must_use]
    pub fn matches(&self, query: &str) -> bool {
        let aliases = self.aliases.iter().map(String::as_str);
        let names: Vec<&str> = [self.name.as_str(), &self.repository]
            .into_iter()
            .chain(aliases)
            .collect();
        let text = format!("{} {} {}", names.join(" "), self.description, self.modality).to_lowercase();
        query.to_lowercase().split_whitespace().all(|word| {
            let bare = normalized(word);
            let spelt_otherwise = || names.iter().any(|name| normalized(name).contains(&bare));
            text.contains(word) || (!bare.is_empty() && spelt_otherwise())
        })
    }

    /// Says what of it fits: on the first device that can hold a variant, the first of the
    /// device's ladder that it can hold.
    pub fn fit(&mut self, ceilings: &[Ceiling]) {
        let most = ceilings.iter().map(|ceiling| ceiling.bytes).max().unwrap_or(0);
        for variant in &mut self.variants {
            variant.fits = variant.memory_bytes <= most;
        }
        self.fits = ceilings.iter().find_map(|ceiling| {
            ladder(ceiling.device, ceiling.compute_capability)
                .into_iter()
                .find(|level| {
                    let mut variants = self.variants.iter();
                    variants.any(|variant| variant.level == *level && variant.memory_bytes <= ceiling.bytes)
                })
        });
    }
}

impl CatalogVariant {
    /// Memory by rule of thumb: the weights, the keys and values of one conversation of `context`
    /// tokens with `cache_values` numbers each, and what every process takes.
    #[must_use]
    pub fn estimated_memory(&self, cache_values: u64, context: u32) -> u64 {
        let cache_bytes = if self.caches_in_half_precision() { 2 } else { 4 };
        let weights = self.size_bytes / 100 * PACKING_PERCENT;
        let cache = cache_values
            .saturating_mul(cache_bytes)
            .saturating_mul(u64::from(context));
        weights.saturating_add(cache).saturating_add(OVERHEAD_BYTES)
    }

    /// Bytes to download by rule of thumb, for a model of so many billion weights.
    #[must_use]
    pub fn estimated_size(level: Quantization, parameters_billions: f64) -> u64 {
        // Scales of blocks of 32 weights.
        let scales = match level {
            Quantization::None | Quantization::Float16 | Quantization::BFloat16 => 0.0,
            Quantization::Int8 | Quantization::Int4 | Quantization::Int2 => 0.125,
        };
        let bytes = parameters_billions * 1e9 * (level.bytes_per_weight() + scales);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a conversion from floating point saturates"
        )]
        let bytes = bytes as u64;
        bytes
    }

    /// As the tools that make such files name them.
    fn caches_in_half_precision(&self) -> bool {
        matches!(self.level, Quantization::Float16 | Quantization::BFloat16) || self.file.contains("f16")
    }
}

/// Letters and digits only, in lower case: as names are compared.
#[must_use]
pub fn normalized(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::Device;

    const GIB: u64 = 1 << 30;

    fn entry(variants: &[(Quantization, u64)]) -> CatalogEntry {
        CatalogEntry {
            name: ModelName::new("llama-3.2-1b").unwrap(),
            aliases: vec!["Llama 3.2 1B".to_owned(), "llama3.2:1b".to_owned()],
            modality: Modality::Chat,
            description: "Small multilingual chat model".to_owned(),
            repository: "onnx-community/Llama-3.2-1B-Instruct".to_owned(),
            revision: "main".to_owned(),
            license: "llama3.2".to_owned(),
            parameters_billions: 1.2,
            context_length: 8192,
            recommended_memory_bytes: 0,
            verified: false,
            runnable: true,
            from_user: false,
            variants: variants
                .iter()
                .map(|(level, memory_bytes)| CatalogVariant {
                    level: *level,
                    file: String::new(),
                    size_bytes: 0,
                    memory_bytes: *memory_bytes,
                    fits: false,
                })
                .collect(),
            installed: None,
            fits: None,
        }
    }

    fn ceiling(device: Device, bytes: u64) -> Ceiling {
        Ceiling {
            device,
            compute_capability: None,
            bytes,
        }
    }

    #[test]
    fn names_are_compared_without_what_people_spell_differently() {
        let entry = entry(&[]);
        for name in [
            "llama-3.2-1b",
            "LLAMA 3.2 1B",
            "llama3.2:1b",
            "llama32 1b",
            "onnx-community/llama-3.2-1b-instruct",
        ] {
            assert!(entry.answers_to(name), "{name}");
        }
        for name in ["", "--", "llama", "llama-3.2-3b"] {
            assert!(!entry.answers_to(name), "{name}");
        }
    }

    #[test]
    fn every_word_of_a_query_has_to_be_there() {
        let entry = entry(&[]);
        for query in [
            "",
            "llama",
            "LLAMA multilingual",
            "llama32",
            "chat 1b",
            "onnx-community/",
        ] {
            assert!(entry.matches(query), "{query}");
        }
        for query in ["qwen", "llama image", "llama 7b", "1bl", "é", "+"] {
            assert!(!entry.matches(query), "{query}");
        }
    }

    #[test]
    fn the_first_of_the_ladder_that_fits_is_named() {
        use Quantization::{Float16, Int4, Int8};
        let all = [(Float16, 3 * GIB), (Int8, 2 * GIB), (Int4, GIB)];
        for (ceilings, fits) in [
            (vec![ceiling(Device::Cpu, 4 * GIB)], Some(Int4)),
            (vec![ceiling(Device::Cuda(0), 4 * GIB)], Some(Float16)),
            (vec![ceiling(Device::Cuda(0), 2 * GIB)], Some(Int8)),
            (
                vec![ceiling(Device::Cuda(0), 0), ceiling(Device::Cpu, 4 * GIB)],
                Some(Int4),
            ),
            (vec![ceiling(Device::Cpu, 0)], None),
            (vec![], None),
        ] {
            let mut entry = entry(&all);
            entry.fit(&ceilings);
            assert_eq!(entry.fits, fits, "{ceilings:?}");
        }
        let mut entry = entry(&all);
        entry.fit(&[ceiling(Device::Cpu, 2 * GIB)]);
        assert_eq!(
            entry
                .variants
                .iter()
                .map(|variant| variant.fits)
                .collect::<Vec<_>>(),
            [false, true, true]
        );
    }

    #[test]
    fn memory_is_more_than_the_file_and_grows_with_the_context() {
        let variant = |level, file: &str, size_bytes| CatalogVariant {
            level,
            file: file.to_owned(),
            size_bytes,
            memory_bytes: 0,
            fits: false,
        };
        let q4 = variant(Quantization::Int4, "onnx/model_q4.onnx", 1_000_000_000);
        let half = variant(Quantization::Int4, "onnx/model_q4f16.onnx", 1_000_000_000);
        assert_eq!(q4.estimated_memory(0, 8192), 1_100_000_000 + OVERHEAD_BYTES);
        assert_eq!(
            q4.estimated_memory(1000, 100) - q4.estimated_memory(1000, 0),
            400_000
        );
        assert_eq!(
            half.estimated_memory(1000, 100) - half.estimated_memory(1000, 0),
            200_000
        );
        assert_eq!(q4.estimated_memory(u64::MAX, u32::MAX), u64::MAX);
        assert_eq!(
            CatalogVariant::estimated_size(Quantization::Float16, 1.5),
            3_000_000_000
        );
        assert_eq!(
            CatalogVariant::estimated_size(Quantization::Int4, 8.0),
            5_000_000_000
        );
    }
}
