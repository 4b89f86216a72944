//! Models that are known, installed or not.

use airunner_core::Fault;
use airunner_core::catalog::{CatalogEntry, CatalogVariant, Modality};
use airunner_core::memory::Quantization;

use super::common::{level, level_text, named};
use super::wire::{at_most_bytes, known, non_empty, not_understood};
use crate::v1;

/// Longest query, bytes.
const MAX_QUERY_BYTES: usize = 256;

impl From<String> for v1::ListCatalogRequest {
    fn from(query: String) -> Self {
        Self { query }
    }
}

impl TryFrom<v1::ListCatalogRequest> for String {
    type Error = Fault;

    fn try_from(wire: v1::ListCatalogRequest) -> Result<Self, Fault> {
        at_most_bytes(&wire.query, MAX_QUERY_BYTES, "query")?;
        Ok(wire.query)
    }
}

impl From<Vec<CatalogEntry>> for v1::ListCatalogResponse {
    fn from(entries: Vec<CatalogEntry>) -> Self {
        Self {
            entries: entries.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ListCatalogResponse> for Vec<CatalogEntry> {
    type Error = Fault;

    fn try_from(wire: v1::ListCatalogResponse) -> Result<Self, Fault> {
        wire.entries.into_iter().map(TryInto::try_into).collect()
    }
}

impl From<CatalogEntry> for v1::CatalogEntry {
    fn from(entry: CatalogEntry) -> Self {
        Self {
            name: entry.name.to_string(),
            aliases: entry.aliases,
            modality: entry.modality.as_str().to_owned(),
            description: entry.description,
            repository: entry.repository,
            revision: entry.revision,
            license: entry.license,
            parameters_billions: entry.parameters_billions,
            context_length: entry.context_length,
            recommended_memory_bytes: entry.recommended_memory_bytes,
            verified: entry.verified,
            runnable: entry.runnable,
            from_user: entry.from_user,
            variants: entry.variants.into_iter().map(Into::into).collect(),
            installed: entry.installed.map(|name| name.to_string()).unwrap_or_default(),
            fits: level_text(entry.fits),
        }
    }
}

impl TryFrom<v1::CatalogEntry> for CatalogEntry {
    type Error = Fault;

    fn try_from(wire: v1::CatalogEntry) -> Result<Self, Fault> {
        if !wire.parameters_billions.is_finite() || wire.parameters_billions < 0.0 {
            return Err(not_understood(
                "entry.parameters_billions",
                "it is no number of parameters",
            ));
        }
        let installed = non_empty(wire.installed).map(|name| named(&name, "entry.installed"));
        let variants = wire.variants.into_iter().map(TryInto::try_into);
        Ok(Self {
            name: named(&wire.name, "entry.name")?,
            aliases: wire.aliases,
            modality: known(Modality::parse(&wire.modality), "entry.modality", &wire.modality)?,
            description: wire.description,
            repository: wire.repository,
            revision: wire.revision,
            license: wire.license,
            parameters_billions: wire.parameters_billions,
            context_length: wire.context_length,
            recommended_memory_bytes: wire.recommended_memory_bytes,
            verified: wire.verified,
            runnable: wire.runnable,
            from_user: wire.from_user,
            variants: variants.collect::<Result<_, _>>()?,
            installed: installed.transpose()?,
            fits: level(&wire.fits, "entry.fits")?,
        })
    }
}

impl From<CatalogVariant> for v1::CatalogVariant {
    fn from(variant: CatalogVariant) -> Self {
        Self {
            level: variant.level.as_str().to_owned(),
            file: variant.file,
            size_bytes: variant.size_bytes,
            memory_bytes: variant.memory_bytes,
            fits: variant.fits,
        }
    }
}

impl TryFrom<v1::CatalogVariant> for CatalogVariant {
    type Error = Fault;

    fn try_from(wire: v1::CatalogVariant) -> Result<Self, Fault> {
        Ok(Self {
            level: known(Quantization::parse(&wire.level), "variant.level", &wire.level)?,
            file: wire.file,
            size_bytes: wire.size_bytes,
            memory_bytes: wire.memory_bytes,
            fits: wire.fits,
        })
    }
}
