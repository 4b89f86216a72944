//! Known models.

use airunner_core::catalog::CatalogEntry;
use serde::Serialize;

use crate::table::{Align, Table};
use crate::units;

/// A row of `airunner models catalog`.
#[derive(Debug, Serialize)]
pub(crate) struct CatalogRow<'a> {
    name: &'a str,
    aliases: &'a [String],
    modality: &'static str,
    description: &'a str,
    repository: &'a str,
    revision: &'a str,
    license: &'a str,
    parameters_billions: f64,
    context_length: u32,
    recommended_memory_bytes: u64,
    verified: bool,
    runnable: bool,
    from_user: bool,
    installed: Option<&'a str>,
    fits: Option<&'static str>,
    variants: Vec<VariantRow<'a>>,
}

#[derive(Debug, Serialize)]
struct VariantRow<'a> {
    level: &'static str,
    file: &'a str,
    size_bytes: u64,
    memory_bytes: u64,
    fits: bool,
}

impl<'a> From<&'a CatalogEntry> for CatalogRow<'a> {
    fn from(entry: &'a CatalogEntry) -> Self {
        let variants = entry.variants.iter().map(|variant| VariantRow {
            level: variant.level.as_str(),
            file: &variant.file,
            size_bytes: variant.size_bytes,
            memory_bytes: variant.memory_bytes,
            fits: variant.fits,
        });
        Self {
            name: entry.name.as_str(),
            aliases: &entry.aliases,
            modality: entry.modality.as_str(),
            description: &entry.description,
            repository: &entry.repository,
            revision: &entry.revision,
            license: &entry.license,
            parameters_billions: entry.parameters_billions,
            context_length: entry.context_length,
            recommended_memory_bytes: entry.recommended_memory_bytes,
            verified: entry.verified,
            runnable: entry.runnable,
            from_user: entry.from_user,
            installed: entry.installed.as_ref().map(|name| name.as_str()),
            fits: entry.fits.map(|level| level.as_str()),
            variants: variants.collect(),
        }
    }
}

pub(crate) fn catalog_rows(entries: &[CatalogEntry]) -> Vec<CatalogRow<'_>> {
    entries.iter().map(Into::into).collect()
}

pub(crate) fn catalog_table(entries: &[CatalogEntry]) -> Table {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("FOR", Align::Left),
        ("PARAMETERS", Align::Right),
        ("FITS HERE", Align::Left),
        ("DOWNLOAD", Align::Right),
        ("MEMORY", Align::Right),
        ("LICENCE", Align::Left),
        ("NOTE", Align::Left),
    ]);
    for entry in entries {
        let taken = entry
            .variants
            .iter()
            .find(|variant| Some(variant.level) == entry.fits);
        let size = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), units::size);
        table.row([
            entry.name.to_string(),
            entry.modality.as_str().replace('_', " "),
            parameters(entry.parameters_billions),
            entry
                .fits
                .map_or_else(|| "no".to_owned(), |level| level.to_string()),
            size(taken.map(|variant| variant.size_bytes)),
            size(taken.map(|variant| variant.memory_bytes)),
            entry.license.clone(),
            note(entry),
        ]);
    }
    table
}

/// Such as `22M`, `1.5B`, `70B`.
fn parameters(billions: f64) -> String {
    if billions <= 0.0 {
        "-".to_owned()
    } else if billions < 1.0 {
        format!("{:.0}M", billions * 1e3)
    } else if billions < 10.0 {
        format!("{billions:.1}B")
    } else {
        format!("{billions:.0}B")
    }
}

fn note(entry: &CatalogEntry) -> String {
    let mut notes = Vec::new();
    if let Some(name) = &entry.installed {
        notes.push(if *name == entry.name {
            "installed".to_owned()
        } else {
            format!("installed as {name}")
        });
    }
    if !entry.runnable {
        notes.push("cannot be run yet".to_owned());
    } else if !entry.verified {
        notes.push("not tried".to_owned());
    }
    if entry.from_user {
        notes.push("yours".to_owned());
    }
    notes.join(", ")
}

#[cfg(test)]
mod tests {
    use airunner_core::catalog::{CatalogVariant, Modality};
    use airunner_core::memory::Quantization;
    use serde_json::json;

    use super::super::samples::{name, value};
    use super::*;

    fn entry() -> CatalogEntry {
        CatalogEntry {
            name: name("qwen2.5-0.5b"),
            aliases: vec!["qwen".into()],
            modality: Modality::Chat,
            description: "Small".into(),
            repository: "owner/qwen".into(),
            revision: "main".into(),
            license: "Apache-2.0".into(),
            parameters_billions: 0.494,
            context_length: 32768,
            recommended_memory_bytes: 1 << 30,
            verified: true,
            runnable: true,
            from_user: false,
            variants: vec![CatalogVariant {
                level: Quantization::Int4,
                file: "onnx/model_q4.onnx".into(),
                size_bytes: 500 << 20,
                memory_bytes: 800 << 20,
                fits: true,
            }],
            installed: None,
            fits: Some(Quantization::Int4),
        }
    }

    #[test]
    fn an_entry_has_the_fields_of_the_contract() {
        assert_eq!(
            value(&catalog_rows(&[entry()])),
            json!([{
                "name": "qwen2.5-0.5b", "aliases": ["qwen"], "modality": "chat", "description": "Small",
                "repository": "owner/qwen", "revision": "main", "license": "Apache-2.0",
                "parameters_billions": 0.494, "context_length": 32768, "recommended_memory_bytes": 1 << 30,
                "verified": true, "runnable": true, "from_user": false, "installed": null, "fits": "4bit",
                "variants": [{
                    "level": "4bit", "file": "onnx/model_q4.onnx", "size_bytes": 500 << 20,
                    "memory_bytes": 800 << 20, "fits": true
                }]
            }])
        );
    }

    #[test]
    fn people_see_what_fits_here() {
        let large = CatalogEntry {
            name: name("large"),
            modality: Modality::SpeechToText,
            parameters_billions: 70.6,
            verified: false,
            installed: Some(name("mine")),
            fits: None,
            ..entry()
        };
        let (head, rows) = catalog_table(&[entry(), large]).lines();
        assert_eq!(
            head,
            "NAME          FOR             PARAMETERS  FITS HERE  DOWNLOAD   MEMORY  LICENCE     NOTE"
        );
        assert_eq!(
            rows,
            [
                "qwen2.5-0.5b  chat                  494M  4bit        500 MiB  800 MiB  Apache-2.0",
                "large         speech to text         71B  no                -        -  Apache-2.0  installed as mine, not tried",
            ]
        );
        assert_eq!(parameters(0.022), "22M");
        assert_eq!(parameters(0.0), "-");
    }
}
