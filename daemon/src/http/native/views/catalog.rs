//! Models that are known.

use airunner_core::catalog::CatalogEntry;
use airunner_core::memory::Quantization;
use serde::Serialize;
use utoipa::ToSchema;

/// A known model, installed or not.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct CatalogBody {
    name: String,
    aliases: Vec<String>,
    modality: &'static str,
    description: String,
    repository: String,
    license: String,
    parameters_billions: f64,
    context_length: u32,
    recommended_memory_bytes: u64,
    /// This very package was checked against its authors' own code.
    verified: bool,
    /// This version of the program can run it.
    runnable: bool,
    variants: Vec<VariantBody>,
    /// As what it is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    installed: Option<String>,
    /// The level this machine would take.
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<&'static str>,
}

/// One precision a model comes in.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct VariantBody {
    level: &'static str,
    size_bytes: u64,
    memory_bytes: u64,
    fits: bool,
}

impl From<CatalogEntry> for CatalogBody {
    fn from(entry: CatalogEntry) -> Self {
        Self {
            name: entry.name.to_string(),
            aliases: entry.aliases,
            modality: entry.modality.as_str(),
            description: entry.description,
            repository: entry.repository,
            license: entry.license,
            parameters_billions: entry.parameters_billions,
            context_length: entry.context_length,
            recommended_memory_bytes: entry.recommended_memory_bytes,
            verified: entry.verified,
            runnable: entry.runnable,
            variants: entry
                .variants
                .into_iter()
                .map(|variant| VariantBody {
                    level: variant.level.as_str(),
                    size_bytes: variant.size_bytes,
                    memory_bytes: variant.memory_bytes,
                    fits: variant.fits,
                })
                .collect(),
            installed: entry.installed.map(|name| name.to_string()),
            fits: entry.fits.map(Quantization::as_str),
        }
    }
}
